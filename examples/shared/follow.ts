import type { Client, ClientError } from '../../src/client/index.ts' // in a project of your own: from 'restante/client'
import type { Customer } from './customer.ts'
import { customerSchema } from './customer-schema.ts'

/** What to do with the customers that are created. */
export interface Follower {
  /** Name of the program, for what it says. */
  readonly name: string
  /**
   * Handles a customer. It is acked when this has resolved; when it rejects, or the program dies, it comes
   * again.
   */
  readonly onCreated: (customer: Customer) => Promise<void>
  /** What to say of the work so far, behind each "connected to". */
  readonly soFar: () => Promise<string>
  /** Called at the end, when no handler runs any more. */
  readonly close: () => Promise<void>
}

/** How long a stop waits for the customer in hand. */
const FINISH_MS = 10_000

/**
 * Handles each created customer, also those that came while the program was away, until SIGINT or SIGTERM; then
 * finishes what is in hand. Waits for a server that is not there. Says on the terminal what happens.
 * @param client not opened yet, with a durable session.
 */
export async function followCustomers(
  client: Client,
  { name, onCreated, soFar, close }: Follower
): Promise<void> {
  const say = (text: string) => console.log(`${name}: ${text}`)
  const complain = (text: string) => console.error(`${name}: ${text}`)
  let lastReason = ''
  client.listen('connected', ({ isPlanned }) => {
    lastReason = ''
    if (isPlanned) return // to be given again what was rejected
    soFar().then(
      text => say(`connected to ${client.url}, ${text}`),
      error => complain(`connected to ${client.url}, but ${(error as Error).message}`)
    )
  })
  client.listen('disconnected', ({ reason, isPlanned }) => {
    if (!isPlanned && reason !== lastReason) complain(`waiting for ${client.url}: ${reason}`)
    lastReason = reason // once is enough: it tries again and again
  })
  client.listen('error', error => complain(error.message))
  const closed = new Promise<ClientError | undefined>(resolve => {
    client.listen('closed', ({ error }) => resolve(error))
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      say('stopping')
      void client.close({ timeoutMs: FINISH_MS })
    })
  }
  // before open: what has been waiting in the session comes at once
  await client.on('DB', 'CREATE', ({ payload }) => onCreated(payload), { schema: customerSchema })
  const refusal = await client.open().then(
    () => undefined,
    error => error as ClientError
  )
  const failure = (await closed) ?? (refusal?.code === 'CLIENT_CLOSED' ? undefined : refusal)
  await close()
  if (failure) {
    complain(failure.message)
    process.exitCode = 1
  } else say('stopped')
}
