import type { Message } from '../wire/message.ts'
import { Outbox } from './outbox.ts'

/** How far the notes are; the delivery stage keeps them. */
export interface NoteState {
  readonly writtenNote: number
  readonly syncedNote: number
}

interface Box {
  readonly outbox: Outbox
  /** Nothing of it may be written before the first note is written and the second is synced. */
  note: number
  syncNote: number
}

const NOTHING = Buffer.alloc(0)

/** What a connection is to be sent, in order, some of it held back until notes are written. */
export class HeldOutbox {
  readonly #notes: NoteState
  #boxes: Box[] = [newBox(0, 0)]
  #bytes = 0

  constructor(notes: NoteState) {
    this.#notes = notes
  }

  get bytes(): number {
    return this.#bytes
  }

  /** What is put in from now on waits for these notes; 0: for none. */
  holdFor(note: number, syncNote: number): void {
    const last = this.#last
    if (note <= last.note && syncNote <= last.syncNote) return
    const [later, laterSync] = [Math.max(note, last.note), Math.max(syncNote, last.syncNote)]
    if (last.outbox.bytes > 0) this.#boxes.push(newBox(later, laterSync))
    else {
      last.note = later
      last.syncNote = laterSync
    }
  }

  /** A PUBLISH; packet id 0 when its form has none. */
  publish(message: Message, header: number, packetId: number): void {
    const { outbox } = this.#last
    this.#bytes += message.length
    outbox.publish(message, header, packetId)
  }

  /** A packet of a first byte and a packet id. */
  ack(header: number, packetId: number): void {
    const { outbox } = this.#last
    const before = outbox.bytes
    outbox.ack(header, packetId)
    this.#bytes += outbox.bytes - before
  }

  /** A whole packet. */
  packet(packet: Buffer): void {
    this.#bytes += packet.length
    this.#last.outbox.packet(packet)
  }

  /** All that may be written now, in one buffer; empty when everything is held. */
  take(): Buffer {
    const parts: Buffer[] = []
    for (;;) {
      const [first, second] = this.#boxes as [Box, Box?]
      if (this.#isHeld(first)) break
      if (first.outbox.bytes > 0) parts.push(first.outbox.take())
      if (!second) break
      this.#boxes.shift()
    }
    const taken = parts.length === 1 ? parts[0]! : parts.length === 0 ? NOTHING : Buffer.concat(parts)
    this.#bytes -= taken.length
    return taken
  }

  /** Forgets everything. */
  clear(): void {
    this.#boxes = [newBox(0, 0)]
    this.#bytes = 0
  }

  get #last(): Box {
    return this.#boxes[this.#boxes.length - 1]!
  }

  #isHeld({ note, syncNote }: Box): boolean {
    return note > this.#notes.writtenNote || syncNote > this.#notes.syncedNote
  }
}

function newBox(note: number, syncNote: number): Box {
  return { outbox: new Outbox(), note, syncNote }
}
