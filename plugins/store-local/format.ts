import { join } from 'node:path'
import { errorText, QueueError, systemCode } from '../../src/plugin.ts'
import { type Files, readWhole, replaceFile } from './files.ts'

/**
 * Version of the data folder as a whole: `{"format": 1}` in format.json.
 *
 * Rule for changing it: when an older server could not work with the folder any more. It refuses a newer version
 * before it touches anything but the lock.
 */
export const FORMAT_VERSION = 1

/**
 * Writes the version into a new folder and checks that of an old one.
 * @throws QueueError QUEUE_DATA_VERSION, QUEUE_DATA_CORRUPT
 */
export async function checkFormat(files: Files, dataDirectory: string): Promise<void> {
  const file = join(dataDirectory, 'format.json')
  const found = await readVersion(files, file)
  if (found === null) {
    await replaceFile(files, file, Buffer.from(`{"format": ${FORMAT_VERSION}}\n`))
    return
  }
  if (found !== FORMAT_VERSION)
    throw new QueueError('QUEUE_DATA_VERSION', { detail: { file, found, expected: FORMAT_VERSION } })
}

async function readVersion(files: Files, file: string): Promise<number | null> {
  let text: string
  try {
    text = (await readWhole(files, file)).toString()
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null
    throw error
  }
  try {
    const { format } = JSON.parse(text) as { format: unknown }
    if (typeof format === 'number') return format
    throw new Error('has no number "format"')
  } catch (cause) {
    throw new QueueError('QUEUE_DATA_CORRUPT', { cause, detail: { file, problem: errorText(cause) } })
  }
}
