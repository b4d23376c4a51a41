import type { Clock } from '../clock.ts'
import { errorText } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { StateChange, StateStore } from '../store/store.ts'
import { Deadlines } from './deadlines.ts'
import { isJournaled } from './publisher.ts'
import type { Shared } from './shared.ts'
import { decodeWill, encodeWill, type StoredWill } from './will-row.ts'

const RETRY_MS = 1_000

/** A message that is sent when its client is gone without having said so. @see MQTT 5.0 section 3.1.2.5 */
export interface Will extends StoredWill {
  /** Never used again. */
  readonly willId: number
  sendAt: number
  /** Sent or dropped: nothing more happens to it. */
  isOver: boolean
  /** The client as hooks know it; null after a restart. */
  client: object | null
}

/** What a client brings in CONNECT. */
export type WillRequest = Pick<Will, 'delaySeconds' | 'message'>

/** What the wills work with. */
export interface WillsOptions {
  readonly state: StateStore
  readonly clock: Clock
  readonly log: Logger
  /** A client whose connection ended with the server has so long to come back. */
  readonly graceMs: number
  /** Gives ids where several servers share the store; null for a server that is alone. */
  readonly shared: Pick<Shared, 'willId'> | null
  /** Publishes a will; resolves when it is stored, or will never be. */
  publish(will: Will): Promise<void>
}

/**
 * The wills of all clients, connected or not. A will is on stable storage before its client is let in. Its row is taken
 * out after it was published; should the server be killed in between, its message in the journal tells (see replay.ts).
 */
export class Wills {
  readonly #options: WillsOptions
  readonly #byId = new Map<number, Will>()
  /** Wills whose connection has ended, by client id: those to be sent later. */
  readonly #pending = new Map<string, Set<Will>>()
  /** Over since the last checkpoint. */
  #gone = new Set<number>()
  /** What is being published, by client id. */
  readonly #sending = new Map<string, Set<Promise<void>>>()
  readonly #deadlines: Deadlines<Will>
  #nextWillId = 1

  constructor(options: WillsOptions) {
    this.#options = options
    this.#deadlines = new Deadlines(options.clock, will => this.#due(will))
  }

  get size(): number {
    return this.#byId.size
  }

  /** No new will gets an id up to this one. */
  reserveId(willId: number): void {
    if (willId >= this.#nextWillId) this.#nextWillId = willId + 1
  }

  /** Makes a will; it counts once its {@link changes} are stored and it was {@link enter}ed. */
  async make(clientId: string, { delaySeconds, message }: WillRequest): Promise<Will> {
    return {
      willId: (await this.#options.shared?.willId()) ?? this.#nextWillId++,
      clientId,
      delaySeconds,
      message,
      sendAt: 0,
      isOver: false,
      client: null
    }
  }

  /** The rows of a new will. */
  changes(will: Will): StateChange[] {
    if (this.#options.shared) return [rowOf(will)]
    return [rowOf(will), { table: 'meta', key: 'wills', row: { next: this.#nextWillId } }]
  }

  /** The client of a will was let in. */
  enter(will: Will): void {
    this.#byId.set(will.willId, will)
  }

  /** The client has said goodbye: nothing is sent. [MQTT-3.14.4-3] */
  drop(will: Will): void {
    this.#end(will)
  }

  /**
   * The connection has ended without a goodbye: the will is sent after its delay.
   * @param expirySeconds of the session: the will is sent with its end at the latest; null: it has none.
   */
  lost(will: Will, expirySeconds: number | null): void {
    if (will.isOver || will.sendAt !== 0) return
    const now = this.#options.clock.now()
    const delaySeconds = Math.min(will.delaySeconds, expirySeconds ?? Number.POSITIVE_INFINITY)
    this.#wait(will, now + delaySeconds * 1_000)
    if (delaySeconds === 0) this.#send(will)
    else this.#write([rowOf(will)])
  }

  /** What must be stored before a client is told that it is back with its session: its wills do not wait any more. */
  resumeChanges(clientId: string): StateChange[] {
    return this.goneChanges([...(this.#pending.get(clientId) ?? [])].map(({ willId }) => willId))
  }

  /** The client is back with its session in time: what was waiting is not sent. [MQTT-3.1.3-9] */
  resumed(clientId: string): void {
    for (const will of [...(this.#pending.get(clientId) ?? [])]) this.#end(will)
  }

  /** The client goes on at another server, and so do its wills; resolves when none of them is on its way here. */
  async evict(clientId: string): Promise<void> {
    await Promise.allSettled(this.#sending.get(clientId) ?? [])
    for (const will of [...(this.#pending.get(clientId) ?? [])]) {
      will.isOver = true
      this.#forget(will)
      this.#byId.delete(will.willId)
    }
  }

  /** The session has ended: what was waiting is sent now. [MQTT-3.1.2-8] */
  sessionEnded(clientId: string): void {
    for (const will of [...(this.#pending.get(clientId) ?? [])]) this.#send(will)
  }

  /**
   * Puts back a will found in the store. When its client was connected, it has the delay, and a grace at least, to come
   * back. @param expirySeconds of its session; 0 when there is none.
   */
  restore(willId: number, row: Buffer, expirySeconds: (clientId: string) => number | null): void {
    const will: Will = { willId, ...decodeWill(row), isOver: false, client: null }
    this.reserveId(willId)
    this.enter(will)
    if (will.sendAt !== 0) {
      this.#wait(will, will.sendAt)
      return
    }
    const limit = expirySeconds(will.clientId) ?? Number.POSITIVE_INFINITY
    const delayMs = Math.max(Math.min(will.delaySeconds, limit) * 1_000, this.#options.graceMs)
    this.#wait(will, this.#options.clock.now() + delayMs)
  }

  /** The message of a will is in the journal. */
  wasSent(willId: number): void {
    const will = this.#byId.get(willId)
    if (will) this.#end(will)
    else this.reserveId(willId)
  }

  /** Whether there are wills that are over since the last call of {@link takeGone}. */
  get hasGone(): boolean {
    return this.#gone.size > 0
  }

  /** Wills that are over; their rows count as taken out from now on. */
  takeGone(): number[] {
    const gone = [...this.#gone]
    this.#gone.clear()
    return gone
  }

  /** The rows of these wills could not be taken out. */
  taint(willIds: readonly number[]): void {
    for (const willId of willIds) this.#gone.add(willId)
  }

  /** Takes the rows of these wills out. */
  goneChanges(willIds: readonly number[]): StateChange[] {
    return willIds.map(key => ({ table: 'will', key, row: null }))
  }

  /** Sends nothing more; what waits is for the next server. */
  stop(): void {
    this.#deadlines.stop()
  }

  #wait(will: Will, sendAt: number): void {
    will.sendAt = sendAt
    const waiting = this.#pending.get(will.clientId) ?? new Set()
    this.#pending.set(will.clientId, waiting.add(will))
    this.#deadlines.add(sendAt, will)
  }

  #due(will: Will): void {
    if (this.#pending.get(will.clientId)?.has(will)) this.#send(will)
  }

  #send(will: Will): void {
    this.#forget(will)
    const sending = this.#publish(will)
    const under = this.#sending.get(will.clientId) ?? new Set()
    this.#sending.set(will.clientId, under.add(sending))
    const over = () => {
      under.delete(sending)
      if (under.size === 0) this.#sending.delete(will.clientId)
    }
    sending.then(over, over)
    sending.then(
      () => this.#end(will),
      (cause: unknown) => {
        const { log, clock } = this.#options
        log.error({ err: cause, clientId: will.clientId }, `a will could not be sent: ${errorText(cause)}`)
        if (!will.isOver) this.#wait(will, clock.now() + RETRY_MS)
      }
    )
  }

  /** What is not kept in the journal tells the next server nothing: "at most once" holds when its row goes first. */
  async #publish(will: Will): Promise<void> {
    const { state, publish } = this.#options
    if (!isJournaled(will.message)) {
      await state.write(this.goneChanges([will.willId]), { sync: true }).catch(() => {})
    }
    await publish(will)
  }

  #end(will: Will): void {
    if (will.isOver) return
    will.isOver = true
    this.#forget(will)
    this.#byId.delete(will.willId)
    this.#gone.add(will.willId)
    this.#write([{ table: 'will', key: will.willId, row: null }])
  }

  #forget(will: Will): void {
    const waiting = this.#pending.get(will.clientId)
    waiting?.delete(will)
    if (waiting?.size === 0) this.#pending.delete(will.clientId)
  }

  /** Not synced: a power cut may bring an older row back, and a will is then sent that need not have been. */
  #write(changes: readonly StateChange[]): void {
    this.#options.state.write(changes, { sync: false }).catch(() => {})
  }
}

function rowOf(will: Will): StateChange {
  return { table: 'will', key: will.willId, clientId: will.clientId, row: encodeWill(will) }
}
