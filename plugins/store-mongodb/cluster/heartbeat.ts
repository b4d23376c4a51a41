import { laneStart, monotonicMs, QueueError } from '../../../src/plugin.ts'
import { double } from '../database.ts'
import type { BrokerRecord } from './broker-record.ts'
import type { Ground } from './ground.ts'
import type { Others } from './others.ts'

/**
 * One sign of life, and a look at those of the others. Others are only judged after the own sign was taken: whoever
 * cannot write judges nobody.
 * @returns false when this broker was taken for dead.
 * @throws the error of the driver
 */
export async function heartbeat(ground: Ground, others: Others): Promise<boolean> {
  if (!(await signOfLife(ground))) return false
  const nowMs = monotonicMs()
  others.look(await ground.brokers.find({}).toArray(), nowMs)
  return true
}

/** @returns false when this broker was taken for dead. @throws the error of the driver */
export async function signOfLife({ brokers, heads, identity }: Ground): Promise<boolean> {
  const { brokerName, lane, incarnation } = identity
  const own = { _id: brokerName, incarnation, state: 'live' as const }
  const head = double(Math.max(heads.of(lane), laneStart(lane)))
  const sentMs = monotonicMs()
  const { matchedCount } = await brokers.updateOne(own, { $inc: { heartbeat: 1 }, $set: { head } })
  if (matchedCount === 1) {
    identity.seenAtMs = sentMs
    return true
  }
  identity.setFence(fencedBy(brokerName, await brokers.findOne({ _id: brokerName })))
  return false
}

function fencedBy(name: string, record: BrokerRecord | null): QueueError {
  const by =
    record?.state === 'live' ? 'another process with its name' : (record?.closedBy ?? 'another broker')
  const problem = 'its heartbeats had not been seen for too long'
  return new QueueError('QUEUE_BROKER_FENCED', { detail: { name, by, problem } })
}
