import { setTimeout as delay } from 'node:timers/promises'
import type { Customer } from '../shared/customer.ts'
import { shownCustomer } from '../shared/customer-schema.ts'
import type { SalesPerson } from './sales-people.ts'
import type { TextLog } from './text-log.ts'
import { RefusedError, type Text, type Transport } from './transport.ts'

/** What a notifier works with. */
export interface NotifierParts {
  readonly people: readonly SalesPerson[]
  readonly transport: Transport
  readonly log: TextLog
  /** Told what could not be sent, and what becomes of it. */
  readonly complain: (problem: string) => void
}

/** Attempts before the customer is given back to the queue server, to come again later. */
const ATTEMPTS = 3
/** Before the second attempt; twice as long before each further one. */
const RETRY_MS = 200

/**
 * Texts everybody that a customer account was created: one text for each customer and number, also when the
 * customer comes again.
 *
 * A text is noted as `sending` before it is sent, and as `sent` afterwards. What is `sent` is not sent again.
 * When the program dies between the two, nobody knows whether it went out: the service is asked, if it can
 * tell; if it cannot, the text is sent once more. Two texts are possible then; the other choice would be none.
 * @throws Error when somebody could not be texted: the customer has to come again. The others have their text
 * all the same.
 */
export async function textEverybody(customer: Customer, parts: NotifierParts): Promise<void> {
  const failures: Error[] = []
  for (const person of parts.people) {
    const text = textTo(person, customer)
    await textOnce(text, parts).catch(error => failures.push(error as Error))
  }
  if (failures.length === 0) return
  throw new Error(`${failures.length} of ${parts.people.length} not texted: ${failures[0]!.message}`)
}

function textTo(to: SalesPerson, customer: Customer): Text {
  const body = `New customer ${shownCustomer(customer)}, account created by ${customer.createdBy}`
  return { key: `${customer.id} ${to.phone}`, to, body }
}

async function textOnce(text: Text, { transport, log, complain }: NotifierParts): Promise<void> {
  const state = await log.stateOf(text.key)
  if (state === 'sent' || state === 'refused') return
  try {
    await log.note(text.key, 'sending')
    await sendPatiently(text, transport, state === 'sending')
    await log.note(text.key, 'sent')
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error
    await log.note(text.key, 'refused') // again would not help, and must not hold up the others
    complain(`${text.to.name} (${text.to.phone}) was not texted: ${error.message}`)
  }
}

/** @param wasTried it may have been sent before, as it may after each failed attempt: an answer can get lost. */
async function sendPatiently(text: Text, transport: Transport, wasTried: boolean): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      const isThere = (wasTried || attempt > 1) && (await transport.hasSent?.(text))
      if (!isThere) await transport.send(text)
      return
    } catch (error) {
      if (error instanceof RefusedError || attempt === ATTEMPTS) throw error
    }
    await delay(RETRY_MS * 2 ** (attempt - 1))
  }
}
