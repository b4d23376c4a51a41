import { randomUUID } from 'node:crypto'
import { laneStart, MAX_LANES, monotonicMs, packageVersion, QueueError } from '../../../src/plugin.ts'
import type { Joined } from '../cluster-part.ts'
import { double, isDuplicate } from '../database.ts'
import { type BrokerRecord, changeRecord, estateOf } from './broker-record.ts'
import { sealLane, settleEstates } from './estate-settling.ts'
import { type Ground, pause } from './ground.ts'
import { ownerOf } from './owner.ts'
import { isGone, type ProcessFacts, processFacts } from './process-facts.ts'
import { moveAll, ownersUpTo, raiseCursors, sessionsOf } from './session-move.ts'

/** The name of this broker, its lane, and who goes by it. */
export class Registry {
  readonly #ground: Ground
  readonly #startId = randomUUID()

  constructor(ground: Ground) {
    this.#ground = ground
  }

  /**
   * Takes the name, and what its last incarnation has left unless another broker has taken that over.
   * @param taken called when the name is taken: from now on the others expect signs of life.
   * @throws QueueError QUEUE_BROKER_NAME_IN_USE, QUEUE_BROKER_NAMES_EXHAUSTED
   */
  async join(taken: () => void): Promise<Joined & { readonly notesAfter: number }> {
    const { identity, heads } = this.#ground
    await this.#ground.patience.until(() => makeIndexes(this.#ground), { isRead: true })
    const before = await this.#take()
    const record = (await this.#read())!
    identity.lane = record.lane
    identity.incarnation = record.incarnation
    identity.notesAfter = record.notesAfter
    heads.raise(record.lane, record.head)
    taken()
    if (before) await this.#inherit(before, record)
    const records = await this.#readAll()
    return {
      // what it had not yet noted when it was killed is lost, as in a power cut: it was on its way here
      lastStop: !before ? 'new' : before.state === 'stopped' ? 'clean' : 'machine',
      head: Math.max(record.head, laneStart(record.lane)),
      notesHead: Math.max(record.notesHead, laneStart(record.lane)),
      notesAfter: record.notesAfter,
      lanes: records.map(({ lane, _id, head }) => ({
        lane,
        name: _id,
        head: Math.max(head, laneStart(lane))
      }))
    }
  }

  /** Marks a clean stop. */
  async leave({ head, notesHead }: { readonly head: number; readonly notesHead: number }): Promise<void> {
    const { brokers, identity, patience, storeTimeoutMs } = this.#ground
    const filter = { _id: identity.brokerName, incarnation: identity.incarnation, state: 'live' as const }
    const change = { state: 'stopped' as const, head: double(head), notesHead: double(notesHead) }
    const write = () => brokers.updateOne(filter, { $set: change, $inc: { term: 1, heartbeat: 1 } })
    await patience.until(write, { timeoutMs: storeTimeoutMs, isRead: true }) // it may be given up: a death is as good
  }

  /** @returns the record as it was when it was taken; null when the name is new. */
  async #take(): Promise<BrokerRecord | null> {
    const facts = await processFacts()
    let before: BrokerRecord | null = null
    for (;;) {
      const record = await this.#read()
      if (record?.startId === this.#startId) return before
      if (!record) await this.#insert(facts)
      else {
        before = record
        if (record.state !== 'live' || isGone(record, facts) || (await this.#isSilent(record)))
          await this.#takeFrom(record, facts)
      }
    }
  }

  async #insert(facts: ProcessFacts): Promise<void> {
    const { brokers, identity, patience, clock } = this.#ground
    const records = await this.#readAll()
    const lane = 1 + Math.max(-1, ...records.map(record => record.lane))
    if (lane >= MAX_LANES)
      throw new QueueError('QUEUE_BROKER_NAMES_EXHAUSTED', { detail: { limit: MAX_LANES } })
    const start = double(laneStart(lane))
    const record: BrokerRecord = {
      ...{ _id: identity.brokerName, lane, incarnation: 1, term: 1, startId: this.#startId, state: 'live' },
      ...{
        heartbeat: 1,
        head: start,
        notesHead: start,
        notesAfter: start,
        isEmptied: false,
        isJoining: false,
        estates: []
      },
      ...{ ...facts, startedAt: double(clock.now()), version: packageVersion(), closedBy: null }
    }
    try {
      await patience.until(() => brokers.insertOne(record))
    } catch (error) {
      if (!isDuplicate(error)) throw error // another took the lane, or the name: look again
    }
  }

  /** Takes a name whose last process is gone. It changes nothing when somebody else was faster. */
  async #takeFrom(record: BrokerRecord, facts: ProcessFacts): Promise<void> {
    const { clock, brokers, patience } = this.#ground
    const settled = await settleEstates(this.#ground, record)
    if (!settled) return
    const { notesAfter, estates } = settled
    const change: Partial<BrokerRecord> = {
      ...{
        incarnation: record.incarnation + 1,
        startId: this.#startId,
        state: 'live',
        closedBy: null,
        ...facts
      },
      ...{
        startedAt: double(clock.now()),
        version: packageVersion(),
        heartbeat: double(record.heartbeat + 1)
      },
      ...{ notesAfter: double(notesAfter), isEmptied: false, isJoining: true, estates }
    }
    const { state, heartbeat } = record
    await patience.until(() => changeRecord(brokers, settled, change, { state, heartbeat }))
  }

  /**
   * Watches the heartbeat of a name that is said to live.
   * @returns true when it stood still for the timeout, false when something else has changed.
   * @throws QueueError QUEUE_BROKER_NAME_IN_USE when it moves.
   */
  async #isSilent(record: BrokerRecord): Promise<boolean> {
    const { roundMs, brokerTimeoutMs, clock } = this.#ground
    let silentMs = 0
    for (let sinceMs = monotonicMs(); silentMs < brokerTimeoutMs; ) {
      await pause(clock, roundMs)
      const nowMs = monotonicMs()
      const now = await this.#read()
      if (now?.incarnation !== record.incarnation || now.term !== record.term) return false
      if (now.heartbeat !== record.heartbeat) throw inUse(record)
      silentMs += Math.min(nowMs - sinceMs, 2 * roundMs) // this process may have been stopped itself
      sinceMs = nowMs
    }
    return true
  }

  /** Makes what earlier incarnations own that of this one, except for what another broker is taking over. */
  async #inherit(before: BrokerRecord, record: BrokerRecord): Promise<void> {
    const { brokers, identity, patience } = this.#ground
    const { lane, incarnation } = identity
    if (!wasClean(before)) await sealLane(this.#ground, before)
    const self = ownerOf(lane, incarnation)
    for (const from of await ownersUpTo(this.#ground, record, incarnation - 1)) {
      await moveAll(this.#ground, { from, to: self })
    }
    const find = () => sessionsOf(this.#ground).find({ owner: self }).toArray()
    await raiseCursors(this.#ground, await patience.until(find, { isRead: true }))
    const own = { _id: record._id, incarnation }
    await patience.until(() => brokers.updateOne(own, { $set: { isJoining: false } }))
  }

  #read(): Promise<BrokerRecord | null> {
    const { brokers, identity, patience } = this.#ground
    return patience.until(() => brokers.findOne({ _id: identity.brokerName }), { isRead: true })
  }

  #readAll(): Promise<BrokerRecord[]> {
    return this.#ground.patience.until(() => this.#ground.brokers.find({}).toArray(), { isRead: true })
  }
}

/** Two names never get one lane; the rest is for finding few among many. */
async function makeIndexes({ brokers, database }: Ground): Promise<void> {
  await brokers.createIndex({ lane: 1 }, { unique: true })
  await database.sessions.createIndex({ estate: 1 }, { sparse: true })
  await database.sessions.createIndex({ owedIn: 1 }, { sparse: true })
  await database.wills.createIndex({ clientId: 1 }, { sparse: true })
  await database.streams.createIndex({ isGone: 1 }, { sparse: true })
  await database.retained.createIndex({ clearedAt: 1 }, { sparse: true })
}

/** Whether nothing of the last incarnation can still be on its way. */
function wasClean(record: BrokerRecord): boolean {
  return record.state === 'stopped' && !record.isEmptied && !estateOf(record, record.incarnation)
}

function inUse({ _id: name, host, pid }: BrokerRecord): QueueError {
  const problem = `process ${pid} on ${host}, which still sends heartbeats`
  return new QueueError('QUEUE_BROKER_NAME_IN_USE', { detail: { name, problem, host, pid } })
}
