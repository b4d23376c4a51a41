import type { EventEmitter } from 'node:events'
import { createRequire } from 'node:module'

/** The part of the driver's own, unpublished class of a connection that is mended. */
interface Connection extends EventEmitter {
  readonly closed: boolean
  readonly error: Error | null
  writeCommand(command: unknown, options: unknown): Promise<void>
}

/** Connections that are mended already. */
const MENDED = Symbol('waits for no closed connection')

/**
 * Mends a fault of the driver (seen in 7.9.0): a command that is written to a connection between the end of its socket and
 * the event that tells of it waits for ever for the socket to take more, with no time limit. When it is the command with
 * which the driver looks whether its server lives, the driver never looks again, and every command fails from then on.
 * Here writing ends when the connection is closed. A driver that is made otherwise is left alone; calling it again does
 * nothing.
 */
export function mendDriver(): void {
  const { prototype } = connectionClass() ?? {}
  if (typeof prototype?.writeCommand !== 'function' || MENDED in prototype) return
  const write = prototype.writeCommand
  prototype.writeCommand = function (this: Connection, ...parts) {
    return untilClosed(this, () => write.apply(this, parts))
  }
  Object.defineProperty(prototype, MENDED, { value: true })
}

function connectionClass(): { readonly prototype: Connection } | undefined {
  try {
    return createRequire(import.meta.url)('mongodb/lib/cmap/connection.js').Connection
  } catch {
    return undefined
  }
}

async function untilClosed(connection: Connection, task: () => Promise<void>): Promise<void> {
  let closed = () => {}
  const end = new Promise<never>((_, reject) => {
    closed = () => reject(connection.error ?? new Error('the connection was closed'))
  })
  if (connection.closed) closed()
  connection.once('close', closed)
  try {
    await Promise.race([task(), end])
  } finally {
    connection.off('close', closed)
  }
}
