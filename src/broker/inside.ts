import { QueueError } from '../errors.ts'
import type { Message } from '../wire/message.ts'
import type { Kept, RetainedView, SessionsView } from './keeping.ts'
import { messageOf } from './packets.ts'

/** Takes what is published inside the process, and tells what is kept. */
export interface InProcess {
  /** A message of QoS 1 or 2, or one that is to be retained; resolves when it is stored. */
  store(message: Message, topic: string): Promise<void>
  /** A QoS 0 message that is not retained, or any under `$SYS`. */
  forward(message: Message, topic: string): void
  readonly retained?: RetainedView
  readonly sessions?: SessionsView
}

/** What is kept, as Aedes asks for it. */
export function keptIn(inside: InProcess): Kept {
  return {
    retained: inside.retained ?? { match: () => [] },
    sessions: inside.sessions ?? {
      subscriptionsOf: () => [],
      persistent: () => [],
      subscribersOf: () => []
    },
    store: async packet => {
      if (!isSystem(packet.topic)) await inside.store(messageOf(packet), packet.topic)
    }
  }
}

/** Topics that the server itself publishes and nobody else may. */
export function isSystem(topic: string): boolean {
  return topic.startsWith('$SYS/')
}

/** Whether a client may publish to a topic at all, hooks apart. */
export function assertClientTopic(topic: string): void {
  if (!topic.startsWith('$')) return
  const problem = `clients cannot publish to ${JSON.stringify(topic)}: topics that begin with $ are the server's`
  throw new QueueError('QUEUE_NOT_AUTHORIZED', { detail: { problem } })
}
