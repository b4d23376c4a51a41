import {
  type ClusterListener,
  errorText,
  type Message,
  REPLAY_STREAM,
  readRecord,
  type SessionParts
} from '../../../src/plugin.ts'
import { double } from '../database.ts'
import { laneRange } from '../identity.ts'
import { settleEstates } from './estate-settling.ts'
import type { Estates, Heir } from './estates.ts'
import type { Ground } from './ground.ts'
import type { Handovers } from './handovers.ts'
import { moveAll, type OwnedSession, ownersUpTo, sessionsOf, willsOf } from './session-move.ts'
import { partsOf } from './session-parts.ts'

/** What adoption works with. */
export interface AdoptionOptions {
  readonly ground: Ground
  readonly estates: Estates
  readonly handovers: Handovers
  readonly listener: () => Pick<ClusterListener, 'adopt'> | null
}

/** Notes of an estate, with the number of its seal. */
interface LeftNotes {
  readonly notes: readonly Buffer[]
  readonly through: number
}

/**
 * Takes over what dead and stopped brokers have left, one estate at a time: closes their logs, does what they had begun to
 * write, moves sessions and wills here with a mark, hands all to the core, and when that has it in its memory and in its
 * cursors, takes the marks off and removes the notes. Until then the mark says to everybody that a session is
 * on its way, and the estate stays: whoever takes it over, when this broker dies meanwhile, begins again with the same
 * notes and finds the same sessions.
 */
export class Adoption {
  readonly #options: AdoptionOptions
  readonly #underWay = new Map<string, Promise<void>>()
  #running: Promise<void> | null = null
  #isOver = false

  constructor(options: AdoptionOptions) {
    this.#options = options
  }

  /** Begins with what this broker answers for; a call meanwhile changes nothing. */
  start(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = null
    })
  }

  /** Resolves when a client id is not among those that are being taken over; rejects when that has failed. */
  async settled(clientId: string): Promise<void> {
    await this.#underWay.get(clientId)
  }

  /** Begins nothing more; does not wait for what the core is at. */
  stop(): void {
    this.#isOver = true
  }

  async #run(): Promise<void> {
    const { estates, ground } = this.#options
    for (const heir of [...estates.mine()].sort((a, b) => a.owner - b.owner)) {
      if (this.#isOver || ground.identity.fence) return
      try {
        await this.#adopt(heir)
      } catch (error) {
        const broker = heir.record._id
        ground.log.error(
          { err: error, broker },
          `what broker ${broker} has left could not be taken over, it is tried again: ${errorText(error)}`
        )
      }
    }
  }

  async #adopt(wanted: Heir): Promise<void> {
    const { estates, ground } = this.#options
    const heir = await this.#settle(wanted)
    if (!heir) return
    if (!heir.estate.isAdopted) {
      const notes = await this.#notes(heir)
      for (const from of await ownersUpTo(ground, heir.record, heir.estate.incarnation))
        await moveAll(ground, { from, to: ground.self, estate: heir.owner })
      const sessions = await this.#moved(heir)
      const done = this.#hand(heir, sessions, notes)
      for (const { _id } of sessions) this.#underWay.set(_id, done)
      try {
        await done
      } finally {
        for (const { _id } of sessions) this.#underWay.delete(_id)
      }
    }
    const adopted = await estates.still(heir)
    if (adopted?.estate.isAdopted) await this.#clear(adopted)
  }

  /** Closes the logs of the dead incarnation and looks up where its last checkpoint stands. */
  async #settle(wanted: Heir): Promise<Heir | null> {
    const { estates, ground } = this.#options
    const heir = await estates.still(wanted)
    if (!heir || heir.estate.replayAfter !== null) return heir
    await settleEstates(ground, heir.record) // its name does not live: it would have done it itself before
    const settled = await estates.still(heir)
    return settled?.estate.replayAfter === null ? null : settled
  }

  /** Sessions with the mark of the estate, also those that a broker had moved to itself who has died since. */
  async #moved({ owner }: Heir): Promise<OwnedSession[]> {
    const { ground } = this.#options
    const { patience, self } = ground
    const estate = double(owner)
    const elsewhere = { estate, owner: { $ne: self } }
    const mine = { $set: { owner: double(self) } }
    await patience.until(() => sessionsOf(ground).updateMany(elsewhere, { ...mine, $inc: { epoch: 1 } }))
    await patience.until(() => willsOf(ground).updateMany(elsewhere, mine))
    const find = () => sessionsOf(ground).find({ estate, owner: self }).toArray()
    return await patience.until(find, { isRead: true })
  }

  /** Has the core take the sessions, and then lets go of the notes: the one who still answers for the estate may. */
  async #hand(heir: Heir, sessions: readonly OwnedSession[], { notes }: LeftNotes): Promise<void> {
    const { ground, estates, handovers, listener } = this.#options
    const stored = await partsOf(ground, sessions)
    const wills = await this.#wills(heir)
    const replayed = await this.#replayed(heir)
    const mayHaveLost = !heir.estate.isClean
    const { epochs } = ground.identity
    for (const { _id, sessionId, epoch } of sessions) epochs.set(_id, sessionId, epoch)
    try {
      await listener()?.adopt({ ...stored, wills, mayHaveLost, notes, replayed } satisfies SessionParts)
      const now = await estates.still(heir)
      if (!now || !(await estates.change(now, { ...now.estate, isAdopted: true }))) {
        const after = await estates.still(heir)
        if (!after?.estate.isAdopted) throw new Error('another broker has taken it over meanwhile')
      }
    } catch (error) {
      for (const { _id, sessionId } of sessions) epochs.forget(_id, sessionId)
      throw error
    }
    for (const session of sessions) handovers.arrived(session)
  }

  async #wills({ owner }: Heir): Promise<Map<number, Buffer>> {
    const { ground } = this.#options
    const find = () =>
      willsOf(ground)
        .find({ estate: double(owner), owner: ground.self })
        .toArray()
    const found = await ground.patience.until(find, { isRead: true })
    return new Map(found.map(({ _id, row }) => [_id, Buffer.from(row)]))
  }

  /** What it had accepted since its last checkpoint that changes more than the lane. */
  async #replayed({ record, estate }: Heir): Promise<Message[]> {
    const { database, patience } = this.#options.ground
    const range = { $gt: double(estate.replayAfter ?? 0), $lt: double(laneRange(record.lane).before) }
    const filter = { streams: double(REPLAY_STREAM), _id: range }
    const projection = { record: 1, batch: 1 }
    const find = () => database.messages.find(filter, { projection }).sort({ _id: 1 }).toArray()
    const found = await patience.until(find, { isRead: true })
    const isOld = (batch = '0') => Number.parseInt(batch, 10) <= estate.incarnation // its name may live again
    return found.flatMap(({ record: bytes, batch }) =>
      bytes && isOld(batch) ? [readRecord(Buffer.from(bytes), 0).message] : []
    )
  }

  /** The notes of the estate, which end with its seal. */
  async #notes({ record, estate }: Heir): Promise<LeftNotes> {
    const { database, patience } = this.#options.ground
    const { notesAfter, incarnation } = estate
    const filter = { _id: { $gt: double(notesAfter), $lt: double(laneRange(record.lane).before) } }
    const find = () => database.notes.find(filter).sort({ _id: 1 }).toArray()
    const found = await patience.until(find, { isRead: true })
    const end = found.findIndex(({ seal }) => seal !== undefined && seal.incarnation >= incarnation)
    const left = end === -1 ? [] : found.slice(0, end)
    const notes = left.flatMap(({ note }) => (note ? [Buffer.from(note)] : []))
    return { notes, through: left.at(-1)?._id ?? notesAfter }
  }

  /** All of it is in memory and in cursors here. */
  async #clear(heir: Heir): Promise<void> {
    const { ground, estates } = this.#options
    const { database, patience, log } = ground
    const { record, estate, owner } = heir
    const marked = { estate: double(owner) }
    const unmark = { $unset: { estate: '' } } as const
    const { modifiedCount } = await patience.until(() => sessionsOf(ground).updateMany(marked, unmark))
    await patience.until(() => willsOf(ground).updateMany(marked, unmark))
    const { through } = await this.#notes(heir)
    const done = { _id: { $gt: double(estate.notesAfter), $lte: double(through) }, seal: { $exists: false } }
    await patience.until(() => database.notes.deleteMany(done))
    const now = await estates.still(heir)
    if (now) await estates.change(now, null)
    const fields = { broker: record._id, incarnation: estate.incarnation, sessions: modifiedCount }
    log.info(fields, `took over ${modifiedCount} sessions of broker ${record._id}`)
  }
}
