import { LANE_SPAN, laneStart, MAX_LANES, type QueueError } from '../../src/plugin.ts'

/**
 * Who this broker is among those that share the database. Filled when it joins; asked by everything that writes.
 */
export class Identity {
  readonly brokerName: string
  /** Set by joining, before anything else is read or written. */
  lane = 0
  incarnation = 0
  /** Notes up to this number are not of this incarnation: whoever takes over what was left needs them. */
  notesAfter = 0
  readonly epochs = new Epochs()
  /** When it has sent its last sign of life that was heard, on the monotonic clock. */
  seenAtMs = Number.NEGATIVE_INFINITY
  #fence: QueueError | null = null
  #onFenced: ((error: QueueError) => void)[] = []

  constructor(brokerName: string) {
    this.brokerName = brokerName
  }

  /** Why nothing that this incarnation writes counts any more; null while it counts. */
  get fence(): QueueError | null {
    return this.#fence
  }

  /** Calls back, once, when the broker is fenced; at once when it is already. */
  onFenced(callback: (error: QueueError) => void): void {
    if (this.#fence) callback(this.#fence)
    else this.#onFenced.push(callback)
  }

  /** This broker was taken for dead. Only the first call counts. */
  setFence(error: QueueError): void {
    if (this.#fence) return
    this.#fence = error
    for (const callback of this.#onFenced.splice(0)) callback(error)
  }

  /** What stands as `owner` in the documents of this incarnation. */
  get owner(): number {
    return ownerNumber(this.lane, this.incarnation)
  }

  /** The numbers of the own lane, as a range of `_id`: above `after`, below `before`. */
  get range(): { readonly after: number; readonly before: number } {
    return laneRange(this.lane)
  }
}

/** An incarnation of a broker as a number, which owns sessions, cursors and wills. */
export function ownerNumber(lane: number, incarnation: number): number {
  return incarnation * MAX_LANES + lane
}

/** Which lane and incarnation an owner is. */
export function partsOfOwner(owner: number): { readonly lane: number; readonly incarnation: number } {
  return { lane: owner % MAX_LANES, incarnation: Math.floor(owner / MAX_LANES) }
}

/** The numbers of a lane, as a range of `_id`: above `after`, below `before`. */
export function laneRange(lane: number): { readonly after: number; readonly before: number } {
  return { after: laneStart(lane), before: laneStart(lane) + LANE_SPAN }
}

/** The epoch of a session that was never moved. */
export const FIRST_EPOCH = 1

/**
 * The epochs under which this broker owns client ids: they go into the filter of every write about a session, so that
 * a write that comes late, after the session has moved, changes nothing.
 */
export class Epochs {
  readonly #byClient = new Map<string, number>()
  readonly #bySession = new Map<number, number>()

  /** A client id is owned under this epoch. @param sessionId its session; 0: none. */
  set(clientId: string, sessionId: number, epoch: number): void {
    this.#byClient.set(clientId, epoch)
    if (sessionId !== 0) this.#bySession.set(sessionId, epoch)
  }

  /** It is not owned any more. */
  forget(clientId: string, sessionId: number): void {
    this.#byClient.delete(clientId)
    this.#bySession.delete(sessionId)
  }

  /** A session has ended; its client id is still owned. */
  forgetSession(sessionId: number): void {
    this.#bySession.delete(sessionId)
  }

  /** Whether a client id is owned here. */
  has(clientId: string): boolean {
    return this.#byClient.has(clientId)
  }

  ofClient(clientId: string): number {
    return this.#byClient.get(clientId) ?? FIRST_EPOCH
  }

  ofSession(sessionId: number): number {
    return this.#bySession.get(sessionId) ?? FIRST_EPOCH
  }
}
