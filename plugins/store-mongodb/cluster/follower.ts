import {
  type ClusterListener,
  type FollowedMessage,
  LANE_SPAN,
  laneStart,
  readRecord
} from '../../../src/plugin.ts'
import { double } from '../database.ts'
import type { MessageDocument } from '../documents.ts'
import { readChecked } from '../record-check.ts'
import type { Ground } from './ground.ts'

/** Messages told at once. */
const PART_MESSAGES = 512
const PART_BYTES = 4 * 1024 * 1024

/** What following tells. */
export type FollowListener = Pick<ClusterListener, 'followed' | 'laneFound'>

/** Reads the lanes of others to their ends, in order, without a gap. */
export class Follower {
  readonly #ground: Ground
  readonly #listener: FollowListener
  readonly #followed = new Map<number, number>()
  readonly #running = new Map<number, Promise<void>>()
  #isOver = false

  constructor(ground: Ground, listener: FollowListener) {
    this.#ground = ground
    this.#listener = listener
  }

  /** The lane was handed over at open, up to this sequence. */
  begin(lane: number, followed: number): void {
    this.#followed.set(lane, followed)
  }

  /** The newest sequence of a lane that was told. */
  followedOf(lane: number): number {
    return this.#followed.get(lane) ?? laneStart(lane)
  }

  /** Reads what is new in a lane; a call while it is being read joins that reading. @throws the error of the driver */
  follow(lane: number, name: string): Promise<void> {
    const running = this.#running.get(lane)
    if (running) return running
    if (!this.#followed.has(lane)) {
      this.#followed.set(lane, laneStart(lane)) // its first start came after our open
      this.#listener.laneFound({ lane, name, headSequence: laneStart(lane) })
    }
    const reading = this.#read(lane).finally(() => this.#running.delete(lane))
    this.#running.set(lane, reading)
    return reading
  }

  /** Tells nothing any more; resolves when no reading is under way. */
  async stop(): Promise<void> {
    this.#isOver = true
    await Promise.allSettled(this.#running.values())
  }

  async #read(lane: number): Promise<void> {
    const { messages } = this.#ground.database
    const part = new Part(this.followedOf(lane), (sequence, problem) => this.#damaged(sequence, problem))
    const range = { $gt: double(part.head), $lt: double(laneStart(lane) + LANE_SPAN) }
    const projection = { record: 1, seal: 1, skip: 1 }
    for await (const document of messages.find({ _id: range }, { projection }).sort({ _id: 1 })) {
      if (this.#isOver || !part.add(document as MessageDocument)) break
      if (part.isFull) this.#tell(lane, part)
    }
    if (!this.#isOver && part.head > this.followedOf(lane)) this.#tell(lane, part)
  }

  #damaged(sequence: number, problem: string): void {
    const text = `message ${sequence} of another broker cannot be delivered here: ${problem}`
    this.#ground.log.error({ sequence }, text)
  }

  #tell(lane: number, part: Part): void {
    this.#followed.set(lane, part.head)
    this.#ground.heads.raise(lane, part.head)
    this.#listener.followed(lane, part.head, part.take())
  }
}

/** What is read and not told yet. */
class Part {
  head: number
  #messages: FollowedMessage[] = []
  #bytes = 0

  readonly #damaged: (sequence: number, problem: string) => void

  /** @param damaged told of a message that cannot be read. */
  constructor(head: number, damaged: (sequence: number, problem: string) => void) {
    this.head = head
    this.#damaged = damaged
  }

  get isFull(): boolean {
    return this.#messages.length >= PART_MESSAGES || this.#bytes >= PART_BYTES
  }

  /** @returns false at a gap: an insert in front of it is under way. */
  add({ _id, record, skip }: MessageDocument): boolean {
    if ((skip ?? _id) > this.head + 1) return false
    this.head = _id
    if (!record) return true
    const bytes = Buffer.from(record.buffer, record.byteOffset, record.length)
    const problem = readChecked(bytes, _id)
    if (problem !== null) {
      this.#damaged(_id, problem)
      return true
    }
    const { message, streamIds } = readRecord(bytes, 0)
    this.#messages.push({ message, streamIds })
    this.#bytes += bytes.length
    return true
  }

  take(): FollowedMessage[] {
    const messages = this.#messages
    this.#messages = []
    this.#bytes = 0
    return messages
  }
}
