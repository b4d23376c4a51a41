import { resolve } from 'node:path'
import type { Settings } from '../config/settings.ts'
import { QueueError } from '../errors.ts'

/** Where a store is, as people name it. */
export interface Place {
  readonly kind: 'local' | 'mongodb'
  /** For what is told of it: the folder, or the address without a password. */
  readonly name: string
  /** The settings of a server on this store. */
  readonly settings: Partial<Settings>
}

/**
 * Reads `local:<folder>`, a folder, or `mongodb://host/database`.
 * @throws QueueError QUEUE_REQUEST_INVALID
 */
export function placeOf(text: string): Place {
  const scheme = /^([a-z][a-z0-9+.]+):/i.exec(text)?.[1]?.toLowerCase()
  if (scheme === 'mongodb' || scheme === 'mongodb+srv') return mongodbPlace(text)
  const isFolder = scheme === undefined || scheme === 'local'
  const folder = scheme === 'local' ? text.slice('local:'.length) : text
  if (isFolder && folder !== '') {
    const data = resolve(folder)
    return { kind: 'local', name: data, settings: { store: 'local', data } }
  }
  throw refusal(
    `${JSON.stringify(text)} names no store: expected local:<folder>, such as local:./data, or mongodb://<host>/<database>`
  )
}

/** What cannot be done, in words for people. */
export function refusal(problem: string, cause?: unknown): QueueError {
  return new QueueError('QUEUE_REQUEST_INVALID', { cause, detail: { problem } })
}

/** An address without the password in it. */
export function withoutPassword(address: string): string {
  return address.replace(/^([a-z+]+:\/\/[^:@/]*):[^@/]*@/i, '$1:***@')
}

function mongodbPlace(address: string): Place {
  const name = withoutPassword(address)
  if (!/^[a-z+]+:\/\/[^/?]+\/[^?]+/i.test(address)) {
    throw refusal(`${name} has no name of a database: expected mongodb://<host>/<database>`)
  }
  return { kind: 'mongodb', name, settings: { store: 'mongodb', mongodbUrl: address } }
}
