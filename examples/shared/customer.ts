/** A customer as the API server has created it: the payload of the events `CREATE` of queue `DB`. */
export interface Customer {
  /** UUID. */
  readonly id: string
  /** Counts up by one with each customer created, from 1. */
  readonly number: number
  readonly name: string
  readonly email: string
  /** Login name of the user who created it. */
  readonly createdBy: string
  /** ISO 8601, UTC. */
  readonly createdAt: string
}
