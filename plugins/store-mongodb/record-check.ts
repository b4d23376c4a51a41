import { checkRecord, recordSequence } from '../../src/plugin.ts'

/** What is wrong with the record of a document; null when it is the one of that sequence, whole and unchanged. */
export function readChecked(record: Buffer, sequence: number): string | null {
  if (checkRecord(record, 0, record.length) !== record.length)
    return 'the record is damaged: its checksum is not that of its bytes'
  const found = recordSequence(record, 0)
  return found === sequence ? null : `the record is that of message ${found}`
}
