import { filterReachesQueue } from '../../src/plugin.ts'
import type { SessionEntry } from './source.ts'
import type { Turn } from './turn.ts'

/** Whether a session has a filter that can match a topic of a queue; looking at a filter takes one unit. */
export async function isAttached(session: SessionEntry, queue: string, turn: Turn): Promise<boolean> {
  for (const { filter } of session.subscriptions()) {
    if (filterReachesQueue(filter, queue)) return true
    if (turn.spend(1)) await turn.next()
  }
  return false
}
