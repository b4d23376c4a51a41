import type { Customer } from '../shared/customer.ts'

/** Counts of what was logged. */
export interface Summary {
  readonly events: number
  /** Highest number of a customer; 0 when there is none. */
  readonly lastNumber: number
  /** Customers by the day on which they were created (UTC), in order. */
  readonly byDay: Readonly<Record<string, number>>
  /** Customers by the user who created them, in alphabetical order. */
  readonly byUser: Readonly<Record<string, number>>
}

/** The logging database: each event once, and a summary that is always that of the events. */
export interface EventLog {
  /** Logs an event and counts it in the summary. @returns false when it was there: it came before. */
  add(customer: Customer): Promise<boolean>
  summary(): Promise<Summary>
  close(): Promise<void>
}

/** The day on which a customer was created: `2026-01-31`, UTC. */
export function dayOf({ createdAt }: Customer): string {
  return new Date(createdAt).toISOString().slice(0, 10)
}
