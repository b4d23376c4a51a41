import { subscriptionsOf } from '../broker/broker.ts'
import { QueueError } from '../errors.ts'
import type { Connection } from './connection.ts'
import type { FrontContext } from './context.ts'

/**
 * Asks the hook again about the subscriptions of a session that is to be resumed: what it does not grant any more is
 * taken out of the session, before anything is delivered.
 * @throws QueueError QUEUE_NOT_AUTHORIZED when the hook fails: nothing is resumed then, and nothing lost.
 */
export async function reauthorize(
  connection: Connection,
  { broker, sessions }: FrontContext,
  clientId: string
): Promise<void> {
  const session = sessions.get(clientId)
  if (!session) return
  const refused: string[] = []
  for (const subscription of [...subscriptionsOf(session)]) {
    const answer = await broker.askSubscription(connection.client, { ...subscription })
    if (answer instanceof Error) {
      throw new QueueError('QUEUE_NOT_AUTHORIZED', { cause: answer, detail: { problem: answer.message } })
    }
    if (answer === null) refused.push(subscription.topic)
  }
  if (refused.length > 0 && !session.isEnded) await sessions.unsubscribe(session, refused)
}
