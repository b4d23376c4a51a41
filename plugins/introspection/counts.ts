import { errorText } from '../../src/plugin.ts'
import type { Introspected, SessionEntry } from './source.ts'
import { COUNT_UNITS, type Turn } from './turn.ts'

/** Where filters overlap, counting goes from message to message; so many take one unit more. */
const MESSAGES_PER_UNIT = 10

/** The backlog of a session, counted within the share of a turn. @param queue of this queue only. */
export async function countBacklog(
  session: SessionEntry,
  turn: Turn,
  queue?: string
): Promise<number | null> {
  if (turn.spend(COUNT_UNITS)) await turn.next()
  const count = await session.backlog(queue)
  if (count !== null && turn.spend(count / MESSAGES_PER_UNIT)) await turn.next()
  return count
}

/** When the oldest message of a session was accepted, looked for within the share of a turn. */
export async function findOldestAt(
  session: SessionEntry,
  turn: Turn,
  context: Introspected
): Promise<number | null> {
  if (turn.spend(COUNT_UNITS)) await turn.next()
  return await oldestAt(session, context)
}

/** Null also when it cannot be read: a store that fails is when the rest of the answer is needed most. */
export async function oldestAt(session: SessionEntry, { log }: Introspected): Promise<number | null> {
  try {
    return await session.oldestAt()
  } catch (error) {
    log.warn({ session: session.clientId, reason: errorText(error) }, 'the oldest message could not be read')
    return null
  }
}
