import type { Duplex } from 'node:stream'
import { Framer, type PacketSink } from '../wire/framer.ts'

/** Read so much ahead while held, then stop reading. */
const HELD_BYTES = 64 * 1024

/** Why a connection is not read further for now. */
export type HoldReason =
  | 'connect'
  | 'subscribe'
  | 'hook'
  | 'answer'
  | 'journal'
  | 'pace'
  | 'answers'
  | 'stop'
  | 'show'

const BIT: Readonly<Record<HoldReason, number>> = {
  connect: 1,
  subscribe: 2,
  hook: 4,
  journal: 8,
  pace: 16,
  answers: 32,
  stop: 64,
  answer: 128,
  show: 256
}

/** The connection, as its intake sees it. */
export interface IntakeOwner extends PacketSink {
  /** Something that a packet led to has failed. */
  fail(error: unknown): void
  /** All that the client has sent is read, and it sends no more. */
  close(): void
}

/** The reading side of a connection: packets in order, one at a time, and none while there is a reason to wait. */
export class Intake {
  readonly #socket: Duplex
  readonly #owner: IntakeOwner
  readonly #framer: Framer
  #holds = 0
  #isCutting = false
  /** A hold was released while packets were being cut. */
  #mayGoOn = false
  #isPaused = false
  /** The client has ended its side; what it sent before is still read. */
  #hasEnded = false

  constructor(socket: Duplex, owner: IntakeOwner) {
    this.#socket = socket
    this.#owner = owner
    this.#framer = new Framer(owner)
  }

  get isHeld(): boolean {
    return this.#holds !== 0
  }

  /** Whether nothing can be heard of the client, because it is made to wait. */
  get isPaused(): boolean {
    return this.#isPaused
  }

  isHeldFor(reason: HoldReason): boolean {
    return (this.#holds & BIT[reason]) !== 0
  }

  /** Hands over nothing more until {@link release} with the same reason. */
  hold(reason: HoldReason): void {
    this.#holds |= BIT[reason]
  }

  release(reason: HoldReason): void {
    if (!this.isHeldFor(reason)) return
    this.#holds &= ~BIT[reason]
    if (this.#isCutting) this.#mayGoOn = true
    else this.#goOn()
  }

  /** Takes what was read from the socket. */
  push(chunk: Buffer): void {
    this.guard(() => this.#framer.push(chunk))
  }

  /** Stops reading when there is enough for the time of a hold. */
  pauseIfHeld(): void {
    if (!this.#owner.isHeld || this.#isPaused || this.#framer.pendingBytes <= HELD_BYTES) return
    this.#isPaused = true
    this.#socket.pause()
  }

  /** The client sends no more. */
  ended(): void {
    this.#hasEnded = true
    if (!this.#owner.isHeld) this.#owner.close()
  }

  /** Forgets what was read and not handed over. */
  clear(): void {
    this.#framer.clear()
  }

  /** Runs something that reads packets; what it throws ends this connection and nothing else. */
  guard(task: () => void): void {
    const wasCutting = this.#isCutting
    this.#isCutting = true
    try {
      task()
    } catch (error) {
      this.#owner.fail(error)
    } finally {
      this.#isCutting = wasCutting
    }
    if (wasCutting || !this.#mayGoOn) return
    this.#mayGoOn = false
    this.#goOn()
  }

  #goOn(): void {
    if (this.#owner.isHeld) return
    this.guard(() => this.#framer.resume())
    if (this.#owner.isHeld) return
    if (this.#hasEnded) this.#owner.close()
    else if (this.#isPaused) {
      this.#isPaused = false
      this.#socket.resume()
    }
  }
}
