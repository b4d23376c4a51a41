import { laneOf, laneStart } from '../lane.ts'
import type { Store, StoreContents } from '../store/store.ts'
import { rangesOf, readKept, streamsOf } from './messages.ts'
import { refusal } from './place.ts'
import { markOf } from './target.ts'

/**
 * A source has something in it, all of which can be had.
 * @throws QueueError QUEUE_REQUEST_INVALID
 */
export function assertSource(contents: StoreContents, name: string): void {
  const { lastStop, lanes = [] } = contents
  const begun = markOf(contents)
  if (begun)
    throw refusal(`${name} is not complete: what was put into it from ${begun.from} has to be finished first`)
  // a name that is new among those of other brokers finds what they have left
  if (lastStop === 'new' && lanes.length < 2) throw refusal(`there is nothing in ${name}`)
  if (lastStop !== 'machine') return
  throw refusal(
    `the last server on ${name} may have lost what it had noted (a power cut, or a full disk): start a server on it and stop it, then it can be moved`
  )
}

/**
 * Sequences stay as they are, and a target has one lane, the first: only what is kept there can be moved.
 * @throws QueueError QUEUE_REQUEST_INVALID
 */
export async function assertOneLane({ lane }: Store, contents: StoreContents, name: string): Promise<void> {
  const others = rangesOf(contents).filter(({ after }) => laneOf(after + 1) !== 0)
  const streams = streamsOf(contents)
  const kept: string[] = []
  for (const range of others) {
    for await (const { records } of readKept(lane, range, streams)) {
      if (records.length === 0) continue
      kept.push(laneName(contents, laneOf(range.after + 1)))
      break
    }
  }
  if (kept.length === 0) return
  throw refusal(
    `${name} keeps messages that were accepted by several brokers (${kept.join(', ')} besides ${laneName(contents, 0)}), which one lane cannot take: let the sessions receive them first, or copy the database with the tools of MongoDB`
  )
}

/** The last sequence of the first lane. */
export function headOf(contents: StoreContents): number {
  return rangesOf(contents).find(({ after }) => after === laneStart(0))?.through ?? 0
}

function laneName({ lanes = [], lane: own }: StoreContents, lane: number): string {
  return lanes.find(row => row.lane === lane)?.name ?? own
}
