import { isUtf8 } from 'node:buffer'
import { splitTopic } from '../topic.ts'
import { printable } from './terminal.ts'

/** A message as it came in. */
export interface ReceivedMessage {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: number
  readonly retain: boolean
  readonly dup: boolean
}

/**
 * How a message is printed, with the newline: `json` one object per line ("payload" when it is UTF-8, otherwise
 * "payloadBase64"); `raw` topic, a space, and the bytes as they are; `terminal` the same with control characters
 * and what is not UTF-8 made visible.
 */
export type LineForm = 'json' | 'raw' | 'terminal'

/** The line of a message. */
export function messageLine(message: ReceivedMessage, form: LineForm): Buffer {
  const { topic, payload } = message
  if (form === 'json') return Buffer.from(`${JSON.stringify(jsonForm(message))}\n`)
  if (form === 'raw') return Buffer.concat([Buffer.from(`${topic} `), payload, Buffer.from('\n')])
  return Buffer.from(`${printable(topic)} ${printable(payload.toString('utf8'))}\n`)
}

function jsonForm({ topic, payload, qos, retain, dup }: ReceivedMessage): object {
  const body = isUtf8(payload)
    ? { payload: payload.toString('utf8') }
    : { payloadBase64: payload.toString('base64') }
  return { topic, ...splitTopic(topic), qos, retain, dup, ...body }
}
