import { BSON, type Document } from 'mongodb'

/** A message of the MongoDB wire protocol, with its bytes. */
export interface MongodbFrame {
  readonly requestId: number
  readonly responseTo: number
  readonly opCode: number
  readonly bytes: Buffer
}

/** A command or an answer in an OP_MSG. */
export interface MongodbMessage {
  readonly flags: number
  /** The body, with the documents of further sections under their names. */
  readonly body: Document
}

/** The op code of all messages but the first ones of a connection. */
export const OP_MSG = 2013

const HEADER_BYTES = 16
const HAS_CHECKSUM = 1

/** Cuts a stream of bytes into messages. */
export class MongodbFramer {
  #rest: Buffer = Buffer.alloc(0)

  /** The messages that are complete now. */
  take(bytes: Buffer): MongodbFrame[] {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    const frames: MongodbFrame[] = []
    while (this.#rest.length >= HEADER_BYTES && this.#rest.length >= this.#rest.readInt32LE(0)) {
      const length = this.#rest.readInt32LE(0)
      frames.push(frameOf(this.#rest.subarray(0, length)))
      this.#rest = this.#rest.subarray(length)
    }
    return frames
  }
}

function frameOf(bytes: Buffer): MongodbFrame {
  return {
    requestId: bytes.readInt32LE(4),
    responseTo: bytes.readInt32LE(8),
    opCode: bytes.readInt32LE(12),
    bytes
  }
}

/** Reads an OP_MSG; null for another message. @param isPlain numbers of JavaScript, not those of BSON, which can be written back. */
export function readMessage(frame: MongodbFrame, isPlain = false): MongodbMessage | null {
  if (frame.opCode !== OP_MSG) return null
  const { bytes } = frame
  const flags = bytes.readInt32LE(HEADER_BYTES)
  const end = bytes.length - (flags & HAS_CHECKSUM ? 4 : 0)
  const body: Document = {}
  for (let at = HEADER_BYTES + 4; at < end; ) {
    const kind = bytes[at++]
    const length = bytes.readInt32LE(at)
    if (kind === 0)
      Object.assign(body, BSON.deserialize(bytes.subarray(at, at + length), { promoteValues: isPlain }))
    else Object.assign(body, readDocuments(bytes.subarray(at + 4, at + length), isPlain))
    at += length
  }
  return { flags, body }
}

/** A section with documents under a name. */
function readDocuments(section: Buffer, isPlain: boolean): Document {
  const nameEnd = section.indexOf(0)
  const documents: Document[] = []
  for (let at = nameEnd + 1; at < section.length; ) {
    const length = section.readInt32LE(at)
    documents.push(BSON.deserialize(section.subarray(at, at + length), { promoteValues: isPlain }))
    at += length
  }
  return { [section.toString('utf8', 0, nameEnd)]: documents }
}

/** An OP_MSG with all in its body. */
export function writeMessage(requestId: number, responseTo: number, body: Document): Buffer {
  const document = BSON.serialize(body)
  const bytes = Buffer.alloc(HEADER_BYTES + 5)
  bytes.writeInt32LE(bytes.length + document.length, 0)
  bytes.writeInt32LE(requestId, 4)
  bytes.writeInt32LE(responseTo, 8)
  bytes.writeInt32LE(OP_MSG, 12)
  return Buffer.concat([bytes, document])
}
