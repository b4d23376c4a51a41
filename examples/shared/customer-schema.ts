import { z } from 'zod'
import type { Customer } from './customer.ts'

/** What an event `CREATE` of queue `DB` has to be. */
export const customerSchema: z.ZodType<Customer> = z.object({
  id: z.string().min(1),
  number: z.number().int().positive(),
  name: z.string(),
  email: z.string(),
  createdBy: z.string(),
  createdAt: z.iso.datetime()
})

/** A customer in one line for a terminal, without control characters. */
export function shownCustomer({ number, name, email }: Customer): string {
  return `#${number} ${name} <${email}>`.replaceAll(/\p{Cc}/gu, '?')
}
