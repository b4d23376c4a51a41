import {
  type ClusterListener,
  monotonicMs,
  QueueError,
  Serial,
  type SessionParts
} from '../../../src/plugin.ts'
import { double, isDuplicate } from '../database.ts'
import { FIRST_EPOCH } from '../identity.ts'
import { type BrokerRecord, ownerOfRecord } from './broker-record.ts'
import type { Ground } from './ground.ts'
import type { Handovers } from './handovers.ts'
import { CALL_TIMEOUT_MS, type Mailbox } from './mailbox.ts'
import type { Others } from './others.ts'
import type { Rounds } from './rounds.ts'
import { type OwnedSession, sessionsOf, UNMARKED, willsOf } from './session-move.ts'
import { partsOf } from './session-parts.ts'

type Arrive = (parts: SessionParts) => Promise<unknown>

/** What another broker is asked for; no method of the core begins with $. */
export const RELEASE = '$release'
/** A session that was handed over and not fetched is taken back after this. */
const TAKE_BACK_MS = 2 * CALL_TIMEOUT_MS

/** What claims work with. */
export interface ClaimsOptions {
  readonly ground: Ground
  readonly others: Others
  readonly mailbox: Mailbox
  readonly rounds: Rounds
  readonly handovers: Handovers
  readonly listener: () => Pick<ClusterListener, 'adopt' | 'release'> | null
  /** Resolves when a client id is not among those that are just being taken over from a dead broker. */
  readonly settled: (clientId: string) => Promise<void>
}

/**
 * Who owns a client id. Its document says so; whoever wants it has the owner give it up first, and then puts himself
 * there if nothing has changed since he read it: of two claimers one wins, and the other asks him. A client id counts as
 * held here from the moment when its session is in memory until it leaves, and everything that is done about one client
 * id is done one thing after the other. The core, which has an order of its own for each client id, waits for claims
 * outside of it: what is done here waits for the core, and never the other way round.
 */
export class Claims {
  readonly #options: ClaimsOptions
  readonly #serial = new Serial<string>()
  /** Client ids whose document may say that they are ours although we do not hold them; with when to see to it. */
  readonly #loose = new Map<string, number>()
  /** Client ids that are on their way out of memory or into it, with how many tasks say so. */
  readonly #moving = new Map<string, number>()
  #isRetired = false

  constructor(options: ClaimsOptions) {
    this.#options = options
  }

  /** @see ClusterStore.claim */
  claim(clientId: string, arrive: Arrive = async () => {}): Promise<SessionParts | null> {
    return this.#serial.run(clientId, async () => {
      await this.#options.settled(clientId)
      this.#check()
      if (this.#epochs.has(clientId)) return null
      const there = this.#move(clientId)
      try {
        const parts = await this.#fetch(clientId)
        if (parts) await this.#hand(clientId, arrive(parts))
        return parts
      } catch (error) {
        this.#loose.set(clientId, monotonicMs()) // what was sent last may still be heard
        throw error
      } finally {
        there()
      }
    })
  }

  /** @see ClusterStore.holds */
  holds(clientId: string): boolean {
    return this.#epochs.has(clientId) && !this.#moving.has(clientId)
  }

  /** @see ClusterStore.disown */
  async disown(clientId: string): Promise<void> {
    const gone = this.#move(clientId)
    await this.#serial.run(clientId, async () => {
      if (!this.#epochs.has(clientId)) return
      const epoch = this.#epochs.ofClient(clientId)
      this.#epochs.forget(clientId, 0)
      const filter = { _id: clientId, owner: this.#self, epoch, sessionId: 0 }
      await this.#sessions.deleteOne(filter).catch(() => this.#lose(clientId))
    })
    gone()
  }

  /** Another broker wants a client id. When it resolves, nothing of it is under way here. */
  release(clientId: string): Promise<void> {
    return this.#serial.run(clientId, async () => {
      await this.#options.settled(clientId)
      if (!this.#epochs.has(clientId)) return
      const { handovers } = this.#options
      const statement = handovers.pin()
      const left: (() => void)[] = []
      try {
        await this.#options.listener()?.release(clientId, () => left.push(this.#move(clientId)))
        await this.#giveUp(clientId, statement)
      } catch (error) {
        if (left.length > 0) this.#lose(clientId) // it is not in memory any more
        throw error
      } finally {
        for (const gone of left) gone()
        handovers.unpin(statement)
      }
    })
  }

  /** Claims and takes back nothing any more. */
  retire(): void {
    this.#isRetired = true
  }

  /** Sees to client ids that are ours in the database and not in memory. */
  async round(): Promise<void> {
    for (const [clientId, atMs] of this.#loose) {
      if (monotonicMs() < atMs || this.#isRetired) continue
      const isDone = await this.#serial.run(clientId, () => this.#tidy(clientId))
      if (isDone) this.#loose.delete(clientId)
    }
  }

  get #self(): number {
    return this.#options.ground.self
  }

  get #epochs() {
    return this.#options.ground.identity.epochs
  }

  get #sessions() {
    return sessionsOf(this.#options.ground)
  }

  /** Gets a client id from whoever has it. */
  async #fetch(clientId: string): Promise<SessionParts | null> {
    const { ground, others, rounds } = this.#options
    const untilMs = monotonicMs() + ground.storeTimeoutMs
    for (;;) {
      this.#check()
      const document = await this.#read(clientId)
      if (!document) {
        if (await this.#insert(clientId)) return null
      } else if (document.estate === undefined && document.owner === this.#self) {
        await this.#options.settled(clientId)
        if (this.#epochs.has(clientId)) return null // it came here with all that a dead broker has left
        const parts = await this.#takeOver(document)
        if (parts !== 'changed') return parts
      } else {
        const owner = others.living(document.owner)
        if (document.estate === undefined && owner && ownerOfRecord(owner) !== this.#self) {
          if (!(await this.#released(owner, clientId))) continue
          const parts = await this.#takeOver(document)
          if (parts !== 'changed') return parts
        } else {
          // its owner is dead, or not seen yet: somebody will take over what he has left, perhaps this broker
          if (monotonicMs() > untilMs) throw notReleased(clientId)
          await rounds.next()
        }
      }
    }
  }

  /** Has a living owner give a client id up. @returns false when he has died meanwhile. */
  async #released(owner: BrokerRecord, clientId: string): Promise<boolean> {
    try {
      await this.#options.mailbox.call(owner._id, RELEASE, { clientId })
      return true
    } catch (error) {
      if (this.#options.others.living(ownerOfRecord(owner))) throw error
      return false
    }
  }

  #read(clientId: string): Promise<OwnedSession | null> {
    return this.#options.ground.patience.until(() => this.#sessions.findOne({ _id: clientId }), this.#limits)
  }

  async #insert(clientId: string): Promise<boolean> {
    const document = { _id: clientId, sessionId: double(0), owner: double(this.#self), epoch: FIRST_EPOCH }
    try {
      await this.#options.ground.patience.until(() => this.#sessions.insertOne(document), this.#limits)
    } catch (error) {
      if (isDuplicate(error)) return false // somebody was faster, or our own attempt before was heard
      throw error
    }
    this.#epochs.set(clientId, 0, FIRST_EPOCH)
    return true
  }

  /** Puts this broker in the place of an owner that has given up. */
  async #takeOver(document: OwnedSession): Promise<SessionParts | null | 'changed'> {
    const { ground, handovers } = this.#options
    const { _id: clientId, owner, epoch } = document
    const before = { _id: clientId, owner, epoch, estate: { $exists: false } }
    const change = { owner: double(this.#self), epoch: epoch + 1 }
    const write = () => this.#sessions.findOneAndUpdate(before, { $set: change }, { returnDocument: 'after' })
    const taken = await ground.patience.until(write, this.#limits)
    if (!taken) return 'changed' // when it was our own lost attempt, the document says now that we are the owner
    const stored = await partsOf(ground, [taken])
    const wills = await this.#moveWills(clientId, owner)
    this.#check()
    handovers.arrived(taken)
    this.#loose.delete(clientId)
    this.#epochs.set(clientId, taken.sessionId, taken.epoch)
    if (taken.sessionId === 0 && wills.size === 0) return null
    return { ...stored, wills, mayHaveLost: false, notes: [], replayed: [] }
  }

  /** The wills of a client come along, also those without a session. */
  async #moveWills(clientId: string, from: number): Promise<Map<number, Buffer>> {
    const { ground } = this.#options
    const wills = willsOf(ground)
    const owner = double(this.#self)
    const left = { ...UNMARKED, clientId, owner: double(from) }
    await ground.patience.until(() => wills.updateMany(left, { $set: { owner } }), this.#limits)
    const found = await ground.patience.until(() => wills.find({ clientId, owner }).toArray(), this.#limits)
    return new Map(found.map(({ _id, row }) => [_id, Buffer.from(row)]))
  }

  /** Makes it known that nothing of a client id is here any more. */
  async #giveUp(clientId: string, statement: string): Promise<void> {
    const { ground, handovers } = this.#options
    const epoch = this.#epochs.ofClient(clientId)
    const own = { _id: clientId, owner: this.#self, epoch }
    const document = await ground.patience.until(() => this.#sessions.findOne(own), { isRead: true })
    if (document && document.sessionId !== 0) {
      const owedIn = handovers.isCovered(clientId) ? statement : (document.owedIn ?? statement)
      const write = () => this.#sessions.updateOne(own, { $set: { owedIn } })
      await ground.patience.until(write, { isRead: true })
    }
    this.#epochs.forget(clientId, document?.sessionId ?? 0)
    handovers.left(clientId)
    if (document) this.#loose.set(clientId, monotonicMs() + TAKE_BACK_MS)
  }

  /** @returns whether there is nothing more to be done. */
  async #tidy(clientId: string): Promise<boolean> {
    if (this.#epochs.has(clientId)) return true
    const document = await this.#sessions.findOne({ _id: clientId })
    if (!document || document.owner !== this.#self || document.estate !== undefined) return true
    const there = this.#move(clientId)
    try {
      const parts = await this.#takeOver(document)
      if (parts === 'changed') return false
      const drop = () => this.#sessions.deleteOne({ _id: clientId, owner: this.#self, sessionId: 0 })
      await this.#hand(clientId, parts ? this.#options.listener()?.adopt(parts) : drop())
      if (!parts) this.#epochs.forget(clientId, 0)
      return true
    } finally {
      there()
    }
  }

  /** Waits until what was taken over is in memory; when it does not get there, it is not held. */
  async #hand(clientId: string, arriving: Promise<unknown> | undefined): Promise<void> {
    try {
      await arriving
    } catch (error) {
      this.#lose(clientId)
      throw error
    }
  }

  /** It is not held until the callback is called. */
  #move(clientId: string): () => void {
    this.#moving.set(clientId, 1 + (this.#moving.get(clientId) ?? 0))
    return () => {
      const left = (this.#moving.get(clientId) ?? 0) - 1
      if (left > 0) this.#moving.set(clientId, left)
      else this.#moving.delete(clientId)
    }
  }

  /** It is not in memory, and what its document says is not known: that is seen to in a round. */
  #lose(clientId: string): void {
    this.#epochs.forget(clientId, 0)
    this.#loose.set(clientId, monotonicMs())
  }

  #check(): void {
    const { ground, rounds } = this.#options
    if (ground.identity.fence) throw ground.identity.fence
    if (rounds.isOver || this.#isRetired) throw new QueueError('QUEUE_SERVER_STOPPING')
  }

  /** Everything here may be given up at any point: what was sent is found again as a loose end. */
  get #limits() {
    return { timeoutMs: this.#options.ground.storeTimeoutMs, isRead: true }
  }
}

function notReleased(clientId: string): QueueError {
  const problem = `nobody has yet taken over what the last broker of client ${JSON.stringify(clientId)} has left`
  return new QueueError('QUEUE_STORE_AWAY', { detail: { problem } })
}
