import type { Customer } from '../shared/customer.ts'

/** What is known of a customer before it is saved. */
export type NewCustomer = Omit<Customer, 'number'>

/** How many customers there are. */
export interface CustomerCount {
  readonly count: number
  /** The highest number among those counted: whoever has seen this count knows the event of each of them. */
  readonly through: number
}

/**
 * The customers, and which of them are still to be announced.
 *
 * Numbers have no gaps and are visible in their order: who sees a number sees all before it.
 */
export interface CustomerStore {
  /**
   * Saves the customer and that its event is pending, in one atomic write; the next number is given to it.
   * @throws EmailTakenError; StoreUnavailableError, after which it may have been saved or not.
   */
  add(customer: NewCustomer): Promise<Customer>
  /** Customers after a number, in order. */
  list(afterNumber: number, limit: number): Promise<Customer[]>
  get(id: string): Promise<Customer | undefined>
  count(): Promise<CustomerCount>
  /** Customers whose event is pending, in order of their numbers. */
  pending(limit: number): Promise<Customer[]>
  /** Notes that the event of a customer has been taken by the queue server. */
  published(number: number): Promise<void>
  close(): Promise<void>
}

/** Another customer has this e-mail address. */
export class EmailTakenError extends Error {
  override readonly name = 'EmailTakenError'
}

/** The database does not answer. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError'
}
