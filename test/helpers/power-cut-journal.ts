import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkRecord, readRecord } from '../../src/journal/record.ts'

/**
 * What stands in the journal files of a data folder: sequence to payload. Looks at every byte for the start of a
 * record, so that it depends on the format of the records only, and damage hides nothing but the damaged record.
 */
export function journalPayloads(dataDirectory: string): Map<number, string> {
  const payloads = new Map<number, string>()
  for (const name of readdirSync(dataDirectory, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.seg')) continue
    const path = join(dataDirectory, name)
    if (existsSync(path)) readSegment(readFileSync(path), payloads)
  }
  return payloads
}

function readSegment(bytes: Buffer, payloads: Map<number, string>): void {
  for (let at = 0; at < bytes.length; ) {
    const length = checkRecord(bytes, at, bytes.length)
    if (length > 0) {
      const { message } = readRecord(bytes, at)
      payloads.set(message.sequence, message.payload().toString().trimEnd())
    }
    at += Math.max(length, 1)
  }
}
