import type { AppendedMessage, CommitBatch } from '../store/store.ts'
import { Message } from '../wire/message.ts'
import { type RecordFields, recordLength, writeRecord } from './record.ts'

const SLAB_BYTES = 256 * 1024
const NO_BATCH: readonly Pending[] = []

/** Who is told what became of a message. */
export interface Receipt {
  /** It is on stable storage under `pending.message.sequence`. */
  accepted(pending: Pending): void
  /** It is not stored and will not be. */
  refused(pending: Pending, error: Error): void
  /**
   * The store has not answered for long, and whether it will be stored is not known.
   * @returns true to wait on for one of the other answers; false, or left out: it is refused, and may come twice.
   */
  waitsOn?(pending: Pending): boolean
}

/** A message between append and commit. */
export interface Pending extends AppendedMessage {
  readonly route: Routed
  readonly receipt: Receipt
  /** The caller's own mark, e.g. the packet id to ack. */
  readonly token: number
}

/** Where a message goes, as far as the journal is concerned; the routing stage knows more of it. */
export interface Routed {
  readonly topic: string
}

/** What a publish brings to the journal. */
export interface AppendFields extends RecordFields {
  readonly route: Routed
  /** Streams that stand in the record. */
  readonly streamIds: readonly number[]
  /** Client id of the publisher as text; '' when it came from inside. */
  readonly publisherId: string
}

/** A batch as it is given to the store. */
export interface SealedBatch extends CommitBatch {
  readonly messages: readonly Pending[]
}

/**
 * Records on their way to the store, encoded once into slabs that the messages then view: the bytes written to disk
 * are the bytes delivered.
 */
export class BatchBuilder {
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
  /** Where the unsealed part of the slab begins, and where the next record goes. */
  #start = 0
  #at = 0
  #full: Buffer[] = []
  #messages: Pending[] = []
  #bytes = 0

  get isEmpty(): boolean {
    return this.#messages.length === 0
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Encodes a record at the end of the batch. */
  add(fields: AppendFields, sequence: number, acceptedAt: number, receipt: Receipt, token: number): void {
    const { route, streamIds } = fields
    const packetBytes = fields.to - fields.from
    const recordBytes = recordLength(fields, streamIds.length)
    if (this.#at + recordBytes > this.#slab.length) this.#newSlab(recordBytes)
    const packetAt = writeRecord(this.#slab, this.#at, fields, streamIds, sequence, acceptedAt)
    const message = new Message(this.#slab, packetAt, packetBytes, fields.isV5)
    message.sequence = sequence
    message.acceptedAt = acceptedAt
    message.expiresAt = fields.expiresAt
    message.publisher = fields.publisherId
    message.origin = fields.origin
    message.originId = fields.originId
    this.#at += recordBytes
    this.#bytes += recordBytes
    this.#messages.push({ message, route, streamIds, recordBytes, receipt, token })
  }

  /** Hands over what was added since the last call. */
  seal(): SealedBatch {
    const buffers = this.#full
    if (this.#at > this.#start) buffers.push(this.#slab.subarray(this.#start, this.#at))
    const batch = { buffers, bytes: this.#bytes, messages: this.#messages }
    this.#start = this.#at
    this.#full = []
    this.#messages = []
    this.#bytes = 0
    return batch
  }

  /** Takes everything back that was not sealed yet. */
  clear(): readonly Pending[] {
    return this.isEmpty ? NO_BATCH : this.seal().messages
  }

  #newSlab(recordBytes: number): void {
    if (this.#at > this.#start) this.#full.push(this.#slab.subarray(this.#start, this.#at))
    this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, recordBytes))
    this.#start = 0
    this.#at = 0
  }
}

/** A batch with other streams in its records; those of messages for which there is no answer stay as they are. */
export function rerouted(
  batch: SealedBatch,
  routeAgain: (pending: Pending) => Pick<AppendFields, 'route' | 'streamIds'> | null
): SealedBatch {
  const builder = new BatchBuilder()
  for (const pending of batch.messages) {
    const { message, receipt, token } = pending
    const { bytes, offset, length, isV5, expiresAt, origin, originId, publisher } = message
    const fields = {
      ...{ expiresAt, isV5, origin, originId, publisherId: publisher, publisher: Buffer.from(publisher) },
      ...{ header: bytes[offset]!, packet: bytes, from: offset, to: offset + length },
      ...(routeAgain(pending) ?? { route: pending.route, streamIds: pending.streamIds })
    }
    builder.add(fields, message.sequence, message.acceptedAt, receipt, token)
  }
  return builder.seal()
}
