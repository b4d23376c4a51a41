import { laneStart } from '../../../src/plugin.ts'
import { laneRange } from '../identity.ts'
import { lastOf } from '../log-writer.ts'
import type { Ground } from './ground.ts'

/** The last durable sequence of every lane but the own one, by reads that start now. @throws QueueError QUEUE_STORE_AWAY */
export async function durableHeads({
  brokers,
  database,
  identity,
  patience,
  storeTimeoutMs
}: Ground): Promise<number[]> {
  const limits = { timeoutMs: storeTimeoutMs, isRead: true }
  const records = await patience.until(() => brokers.find({}).toArray(), limits)
  const others = records.filter(({ lane }) => lane !== identity.lane)
  const headOf = async (lane: number, known: number) => {
    const last = await patience.until(() => lastOf(database.messages, laneRange(lane)), limits)
    return Math.max(last?._id ?? laneStart(lane), known)
  }
  return await Promise.all(others.map(({ lane, head }) => headOf(lane, head)))
}
