import { laneStart } from '../../../src/plugin.ts'
import { double } from '../database.ts'
import {
  type BrokerRecord,
  changeRecord,
  type Estate,
  estateOf,
  ownerOfEstate,
  ownerOfRecord,
  withEstate
} from './broker-record.ts'
import type { Ground } from './ground.ts'
import type { Others } from './others.ts'
import { incarnationOfOwner, laneOfOwner } from './owner.ts'
import { sessionsOf, UNMARKED, willsOf } from './session-move.ts'

/** An estate that this broker has to take over. */
export interface Heir {
  readonly record: BrokerRecord
  readonly estate: Estate
  /** The owner that has left it. */
  readonly owner: number
}

/**
 * Finds what brokers have left and makes it this broker's to take over. For each piece one broker answers, whose owner
 * number stands in it; when that one is gone too, another puts itself there. Of several that want to, one wins, because
 * each change has the term of what was read in its filter.
 */
export class Estates {
  readonly #ground: Ground
  readonly #others: Others

  constructor(ground: Ground, others: Others) {
    this.#ground = ground
    this.#others = others
  }

  /** Closes who is silent, and puts this broker in charge of what nobody living answers for. @throws the error of the driver */
  async claimAll(): Promise<void> {
    const { self } = this.#ground
    for (const record of this.#others.timedOut()) {
      if (ownerOfRecord(record) !== self) await this.#close(record)
    }
    for (const record of this.#others.records) {
      const isLeft = record.state !== 'live' && !record.isEmptied
      if (isLeft && !estateOf(record, record.incarnation)) await this.#add(record, estateFrom(record, self))
      const orphan = record.estates.find(({ by }) => by !== self && !this.#others.living(by))
      if (orphan) await this.#add(record, { ...orphan, by: self })
    }
  }

  /** What this broker answers for, as of the last look; the oldest first. */
  *mine(): Iterable<Heir> {
    for (const record of this.#others.records) {
      for (const estate of record.estates) {
        if (estate.by === this.#ground.self) yield { record, estate, owner: ownerOfEstate(record, estate) }
      }
    }
  }

  /** The estate of an owner as it is now, if it is still ours. @throws the error of the driver */
  async still({ record, estate, owner }: Heir): Promise<Heir | null> {
    const { brokers, patience, self } = this.#ground
    const now = await patience.until(() => brokers.findOne({ _id: record._id }), { isRead: true })
    const found = now && estateOf(now, estate.incarnation)
    return found?.by === self ? { record: now!, estate: found, owner } : null
  }

  /** Changes our estate, or takes it out. @returns whether it was still as it was read. */
  async change({ record, estate }: Heir, to: Estate | null): Promise<boolean> {
    const estates = withEstate(record, estate.incarnation, to)
    const isLast = to === null && record.state !== 'live' && record.incarnation === estate.incarnation
    return await changeRecord(this.#ground.brokers, record, {
      estates,
      ...(isLast ? { isEmptied: true } : {})
    })
  }

  /**
   * Looks for sessions and wills of owners that are gone and have no estate: a broker that was taken for dead may have
   * got hold of one afterwards, by a write that came late. @throws the error of the driver
   */
  async sweep(): Promise<void> {
    const owners = await Promise.all([
      sessionsOf(this.#ground).distinct('owner', UNMARKED),
      willsOf(this.#ground).distinct('owner', UNMARKED)
    ])
    const records = await this.#ground.brokers.find({}).toArray()
    for (const owner of new Set(owners.flat())) {
      const record = records.find(({ lane }) => lane === laneOfOwner(owner))
      const incarnation = incarnationOfOwner(owner)
      // what a name is just taking from its own past, or leaves behind, includes all that is older
      if (!record || record.isJoining || record.estates.length > 0 || !isOver(record, incarnation)) continue
      // its notes and messages were taken over long ago: there is nothing but what was found
      const end = double(laneStart(record.lane + 1))
      const nothing = { notesAfter: end, replayAfter: end }
      await this.#add(record, {
        incarnation,
        by: double(this.#ground.self),
        ...nothing,
        isClean: false,
        isAdopted: false
      })
    }
  }

  async #close(record: BrokerRecord): Promise<void> {
    const { brokers, identity, log, self } = this.#ground
    const { heartbeat, incarnation, _id: name } = record
    const estates = withEstate(record, incarnation, estateFrom(record, self))
    const change = {
      state: 'dead' as const,
      closedBy: identity.brokerName,
      isEmptied: false,
      isJoining: false,
      estates
    }
    if (await changeRecord(brokers, record, change, { state: 'live', heartbeat })) {
      log.warn(
        { broker: name, incarnation },
        `broker ${name} sends no heartbeats: this broker closes its lane`
      )
    }
  }

  async #add(record: BrokerRecord, estate: Estate): Promise<void> {
    const estates = withEstate(record, estate.incarnation, estate)
    await changeRecord(this.#ground.brokers, record, { estates }, { state: record.state })
  }
}

/** Whether what an incarnation had left was taken over already. */
function isOver({ incarnation: last, state, isEmptied }: BrokerRecord, incarnation: number): boolean {
  return incarnation < last || (incarnation === last && state !== 'live' && isEmptied)
}

function estateFrom({ incarnation, notesAfter, state }: BrokerRecord, by: number): Estate {
  return {
    ...{ incarnation, by: double(by), notesAfter: double(notesAfter), replayAfter: null },
    ...{ isClean: state === 'stopped', isAdopted: false }
  }
}
