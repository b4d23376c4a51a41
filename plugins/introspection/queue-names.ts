import { isWild, splitTopic } from '../../src/plugin.ts'
import type { Source } from './source.ts'

/** Names of queues in topics that were seen and in filters, most of them more than once; null after each session. */
export async function* queueNames(directory: Source): AsyncGenerator<string | null> {
  for (const { topic } of directory.topics()) yield splitTopic(topic).queue
  for await (const session of directory.sessions()) {
    for (const { filter } of session.subscriptions()) {
      const { queue } = splitTopic(filter)
      yield isWild(queue) ? null : queue
    }
    yield null
  }
}
