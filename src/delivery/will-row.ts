import { ByteReader, ByteWriter } from '../wire/bytes.ts'
import { Message } from '../wire/message.ts'

/** Rule for changing the row: a new layout gets a new version; this one is read for ever. */
const WILL_VERSION = 1

/** What is kept of a will in its row. */
export interface StoredWill {
  /** Whose will it is. */
  readonly clientId: string
  /** Seconds between the end of the connection and the sending. */
  readonly delaySeconds: number
  /** When it is to be sent, milliseconds since 1970; 0: its connection lasts. */
  readonly sendAt: number
  /** The PUBLISH that is sent. */
  readonly message: Message
}

/** The row of a will. */
export function encodeWill({ clientId, delaySeconds, sendAt, message }: StoredWill): Buffer {
  const id = Buffer.from(clientId)
  const head = new ByteWriter()
  head
    .number(WILL_VERSION)
    .number(delaySeconds)
    .number(sendAt)
    .number(message.isV5 ? 1 : 0)
    .number(id.length)
  const packet = message.bytes.subarray(message.offset, message.offset + message.length)
  return Buffer.concat([head.take(), id, packet])
}

/** Reads a row. @throws RangeError when it has another version. */
export function decodeWill(row: Buffer): StoredWill {
  const input = new ByteReader(row)
  const version = input.number()
  if (version !== WILL_VERSION) throw new RangeError(`a will has version ${version}, not ${WILL_VERSION}`)
  const delaySeconds = input.number()
  const sendAt = input.number()
  const isV5 = input.number() === 1
  const idBytes = input.number()
  const at = input.offset + idBytes
  const clientId = row.toString('utf8', input.offset, at)
  return { clientId, delaySeconds, sendAt, message: new Message(row, at, row.length - at, isV5) }
}
