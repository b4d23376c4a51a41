import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { errorText, systemCode } from '../errors.ts'
import { CommandError } from './command.ts'
import type { Address } from './serve.ts'

/** Tells scripts where the server listens, by a file that exists while it does. */
export class ReadyFile {
  readonly #file: string
  #isOurs = false

  /**
   * @param file its path; '' for none. A file left by a server that was killed is removed.
   * @throws CommandError
   */
  constructor(file: string) {
    this.#file = file
    if (file !== '' && !isOfLivingServer(file)) attempt(() => rmSync(file, { force: true }))
  }

  /**
   * Writes {"mqtt":{"host","port"},"http":{"host","port"},"pid"}. Readers see all of it or no file.
   * @throws CommandError
   */
  write(addresses: { mqtt: Address; http: Address }): void {
    if (this.#file === '') return
    const draft = `${this.#file}.${process.pid}.tmp`
    const content = { mqtt: plain(addresses.mqtt), http: plain(addresses.http), pid: process.pid }
    attempt(() => {
      mkdirSync(dirname(this.#file), { recursive: true })
      writeFileSync(draft, `${JSON.stringify(content)}\n`)
      renameSync(draft, this.#file)
    })
    this.#isOurs = true
  }

  /** Removes it, if it was written here; may be called again. */
  remove(): void {
    if (this.#isOurs) rmSync(this.#file, { force: true })
    this.#isOurs = false
  }
}

/** A second server with the same settings, which is about to fail, must not take the file of the first away. */
function isOfLivingServer(file: string): boolean {
  try {
    const { pid } = JSON.parse(readFileSync(file, 'utf8')) as { pid?: unknown }
    if (typeof pid !== 'number' || pid === process.pid) return false
    process.kill(pid, 0) // asks whether the process is there; signals nothing
    return true
  } catch (error) {
    return systemCode(error) === 'EPERM' // it is there, and another user's
  }
}

function attempt(change: () => void): void {
  try {
    change()
  } catch (error) {
    const problem = `the ready file cannot be written (${errorText(error)}): name another with --ready-file`
    throw new CommandError(problem, { cause: error })
  }
}

function plain({ host, port }: Address): Address {
  return { host, port }
}
