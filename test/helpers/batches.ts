import { recordLength, writeRecord } from '../../src/journal/record.ts'
import type { AppendedMessage, CommitBatch, LaneBlock, LaneStore } from '../../src/store/store.ts'
import { Message } from '../../src/wire/message.ts'
import { topicField } from '../../src/wire/publish.ts'

/** A message to be written by a test; what is missing is chosen from its sequence. */
export interface MessageSpec {
  readonly topic?: string
  readonly payload?: Buffer
  readonly streamIds?: readonly number[]
  readonly publisher?: string
  readonly isV5?: boolean
  readonly qos?: number
  readonly expiresAt?: number
  readonly acceptedAt?: number
  readonly origin?: number
  readonly originId?: number
}

/** The payload of a message without one of its own: it names its sequence and has a length of its own. */
export function payloadOf(sequence: number): Buffer {
  return Buffer.from(`message ${sequence} ${'x'.repeat(sequence % 90)}`)
}

/** A batch as the journal gives it to a lane. @param bufferRecords records in one buffer. */
export function batchOf(
  firstSequence: number,
  specs: readonly MessageSpec[],
  bufferRecords = Number.POSITIVE_INFINITY
): CommitBatch {
  const records = specs.map((spec, place) => recordOf(firstSequence + place, spec))
  const buffers: Buffer[] = []
  for (let i = 0; i < records.length; i += bufferRecords)
    buffers.push(Buffer.concat(records.slice(i, i + bufferRecords).map(({ record }) => record)))
  const bytes = buffers.reduce((sum, buffer) => sum + buffer.length, 0)
  return { buffers, bytes, messages: records }
}

/** A batch of `count` messages that differ only by what their sequence gives them. */
export function plainBatch(firstSequence: number, count: number, spec: MessageSpec = {}): CommitBatch {
  return batchOf(
    firstSequence,
    Array.from({ length: count }, () => spec)
  )
}

function recordOf(sequence: number, spec: MessageSpec): AppendedMessage & { record: Buffer } {
  const publisher = Buffer.from(spec.publisher ?? 'publisher')
  const { bytes: packet, isV5 } = Message.from({
    topicField: topicField(spec.topic ?? 'DB/CREATE'),
    payload: spec.payload ?? payloadOf(sequence),
    qos: spec.qos ?? 1,
    properties: spec.isV5 ? Buffer.alloc(0) : null
  })
  const streamIds = spec.streamIds ?? [1]
  const { expiresAt = 0, acceptedAt = 1_700_000_000_000 + sequence, origin = 0, originId = 0 } = spec
  const place = { packet, from: 0, to: packet.length }
  const fields = { expiresAt, publisher, header: packet[0]!, isV5, origin, originId, ...place }
  const recordBytes = recordLength(fields, streamIds.length)
  const record = Buffer.alloc(recordBytes)
  const packetAt = writeRecord(record, 0, fields, streamIds, sequence, acceptedAt)
  const message = new Message(record, packetAt, packet.length, isV5)
  message.sequence = sequence
  message.acceptedAt = acceptedAt
  message.expiresAt = expiresAt
  message.publisher = spec.publisher ?? 'publisher'
  message.origin = origin
  message.originId = originId
  return { message, streamIds, recordBytes, record }
}

/** Reads a lane from one end to the other, block by block, and checks that the blocks answer for what was asked. */
export async function readLane(lane: LaneStore, from: number, to: number): Promise<Message[]> {
  const messages: Message[] = []
  for (let sequence = from; sequence <= to; ) {
    const block = await lane.read(sequence)
    checkBlock(block, sequence)
    messages.push(...block.messages.filter(message => message.sequence >= sequence && message.sequence <= to))
    sequence = block.to + 1
  }
  return messages
}

function checkBlock(block: LaneBlock, sequence: number): void {
  const { from, to, messages } = block
  const where = `block ${from}..${to}`
  if (!(from <= sequence && sequence <= to)) throw new Error(`${where} does not answer for ${sequence}`)
  let last = from - 1
  for (const message of messages) {
    if (message.sequence <= last || message.sequence > to)
      throw new Error(`${where}: ${message.sequence} is out of place`)
    last = message.sequence
  }
}

/** The sequences of some messages. */
export function sequencesOf(messages: readonly Message[]): number[] {
  return messages.map(message => message.sequence)
}

/** All whole numbers from..to, both included. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(to - from + 1, 0) }, (_, i) => from + i)
}
