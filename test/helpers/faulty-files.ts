import { stat } from 'node:fs/promises'
import {
  type Files,
  HAS_SYNCED_WRITES,
  type OpenFile,
  type OpenMode,
  systemFiles
} from '../../plugins/store-local/files.ts'

/** Calls that change something, or make a change last. */
export type Operation =
  | 'open'
  | 'write'
  | 'sync'
  | 'truncate'
  | 'rename'
  | 'remove'
  | 'syncDirectory'
  | 'read'

/** Calls that are to fail. */
export interface Fault {
  readonly operation: Operation
  /** Part of the path; missing: any. */
  readonly path?: string
  /** Code of the error. */
  readonly code: string
  /** Calls that pass before the first failure. */
  readonly after?: number
  /** How many fail; missing: all from then on. */
  readonly times?: number
  /** For `write`: bytes that are written before it fails. */
  readonly bytesBefore?: number
}

interface Rule extends Fault {
  calls: number
}

interface Hold {
  readonly operation: Operation
  readonly path: string
  readonly released: Promise<void>
  reach(): void
}

/**
 * The file system of the machine with faults on demand. It also keeps account of what is on stable storage, so that
 * a power cut can be played.
 */
export class FaultyFiles implements Files {
  /** Calls so far that changed something. */
  operations = 0
  /** After so many of them the process is dead: every call fails. */
  lastOperation = Number.POSITIVE_INFINITY
  /** Bytes that one write takes at most. */
  mostWriteBytes = Number.POSITIVE_INFINITY
  readonly #rules: Rule[] = []
  readonly #holds: Hold[] = []
  readonly #open = new Set<FaultyFile>()
  readonly #running = new Set<Promise<unknown>>()
  readonly #durableBytes: Map<string, number>

  /** @param before the files of the process before this one, from which it takes over what is not yet safe. */
  constructor(before?: FaultyFiles) {
    this.#durableBytes = new Map(before ? before.#durableBytes : [])
  }

  /** Lets calls fail; returns what takes the fault away again. */
  fail(fault: Fault): () => void {
    const rule = { ...fault, calls: 0 }
    this.#rules.push(rule)
    return () => void this.#rules.splice(this.#rules.indexOf(rule), 1)
  }

  /** Lets the next such call wait; tells when it has come, and lets it go on. */
  hold(operation: Operation, path: string): { readonly reached: Promise<void>; release(): void } {
    let reach = () => {}
    let release = () => {}
    const reached = new Promise<void>(resolve => {
      reach = resolve
    })
    const released = new Promise<void>(resolve => {
      release = resolve
    })
    this.#holds.push({ operation, path, reach, released })
    return { reached, release }
  }

  /** Ends everything at once, as kill -9 does: what was written stays, nothing more is done. */
  async kill(): Promise<void> {
    this.lastOperation = -1
    await Promise.allSettled([...this.#running])
    for (const file of this.#open) await file.release()
    this.#open.clear()
  }

  /** Resolves when no call is under way. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) {
      await Promise.allSettled([...this.#running])
      await new Promise(resolve => setImmediate(resolve))
    }
  }

  /** Files of which something may be lost in a power cut, with the bytes that are safe. */
  async unsynced(): Promise<{ path: string; durableBytes: number; fileBytes: number }[]> {
    await this.idle()
    const found: { path: string; durableBytes: number; fileBytes: number }[] = []
    for (const [path, durableBytes] of this.#durableBytes) {
      const fileBytes = (await stat(path)).size
      if (durableBytes < fileBytes) found.push({ path, durableBytes, fileBytes })
    }
    return found
  }

  open(path: string, mode: OpenMode): Promise<OpenFile> {
    const isNew = mode === 'create' || mode === 'create-synced' || mode === 'replace'
    const action = async () => {
      const inner = await systemFiles.open(path, mode)
      if (isNew) this.#durableBytes.set(path, 0)
      const file = new FaultyFile(this, inner, path, mode.endsWith('-synced') && HAS_SYNCED_WRITES)
      this.#open.add(file)
      return file
    }
    return this.run('open', path, isNew, action)
  }

  list(directory: string): Promise<string[]> {
    return this.run('read', directory, false, () => systemFiles.list(directory))
  }

  makeDirectory(path: string): Promise<void> {
    return this.run('open', path, false, () => systemFiles.makeDirectory(path))
  }

  rename(from: string, to: string): Promise<void> {
    return this.run('rename', from, true, async () => {
      await systemFiles.rename(from, to)
      this.#durableBytes.set(to, this.#durableBytes.get(from) ?? 0)
      this.#durableBytes.delete(from)
    })
  }

  remove(path: string): Promise<void> {
    return this.run('remove', path, true, async () => {
      await systemFiles.remove(path)
      this.#durableBytes.delete(path)
    })
  }

  syncDirectory(path: string): Promise<void> {
    return this.run('syncDirectory', path, true, () => systemFiles.syncDirectory(path))
  }

  /** Does one call, unless it is to fail. */
  run<T>(operation: Operation, path: string, isChange: boolean, action: () => Promise<T>): Promise<T> {
    return this.track(this.#guard(operation, path, isChange, action))
  }

  /** Counts something as under way until it has ended. */
  track<T>(promise: Promise<T>): Promise<T> {
    this.#running.add(promise)
    return promise.finally(() => this.#running.delete(promise))
  }

  /** The fault that meets this call; null when it may pass. */
  faultFor(operation: Operation, path: string): Fault | null {
    let found: Fault | null = null
    for (const rule of this.#rules) {
      if (rule.operation !== operation || !path.includes(rule.path ?? '')) continue
      const call = rule.calls++ - (rule.after ?? 0)
      if (call >= 0 && call < (rule.times ?? Number.POSITIVE_INFINITY)) found ??= rule
    }
    return found
  }

  /** Notes that the first bytes of a file are on stable storage. */
  setDurable(path: string, bytes: number): void {
    if (this.#durableBytes.has(path)) this.#durableBytes.set(path, bytes)
  }

  /** Bytes of a file that are on stable storage, as far as it is known. */
  durableBytes(path: string): number {
    return this.#durableBytes.get(path) ?? Number.POSITIVE_INFINITY
  }

  forget(file: FaultyFile): void {
    this.#open.delete(file)
  }

  async #guard<T>(
    operation: Operation,
    path: string,
    isChange: boolean,
    action: () => Promise<T>
  ): Promise<T> {
    if (this.lastOperation < 0 || (isChange && this.operations >= this.lastOperation)) {
      this.lastOperation = -1
      throw systemError('EIO', 'the process is dead')
    }
    if (isChange) this.operations++
    const held = this.#holds.findIndex(hold => hold.operation === operation && path.includes(hold.path))
    if (held >= 0) {
      const [hold] = this.#holds.splice(held, 1)
      hold!.reach()
      await hold!.released
    }
    const fault = operation === 'write' ? null : this.faultFor(operation, path)
    if (fault) throw systemError(fault.code, `${operation} ${path}`)
    return action()
  }
}

class FaultyFile implements OpenFile {
  readonly #files: FaultyFiles
  readonly #inner: OpenFile
  readonly #path: string
  readonly #isSynced: boolean
  #isOpen = true

  constructor(files: FaultyFiles, inner: OpenFile, path: string, isSynced: boolean) {
    this.#files = files
    this.#inner = inner
    this.#path = path
    this.#isSynced = isSynced
  }

  read(target: Buffer, position: number): Promise<number> {
    return this.#files.run('read', this.#path, false, () => this.#inner.read(target, position))
  }

  write(buffers: readonly Buffer[], position: number): Promise<number> {
    return this.#files.run('write', this.#path, true, async () => {
      const fault = this.#files.faultFor('write', this.#path)
      const bytes = fault ? (fault.bytesBefore ?? 0) : this.#files.mostWriteBytes
      const part = firstBytes(buffers, bytes)
      const written = part.length > 0 ? await this.#inner.write([part], position) : 0
      if (fault) throw systemError(fault.code, `write ${this.#path}`)
      if (this.#isSynced) this.#files.setDurable(this.#path, position + written)
      return written
    })
  }

  sync(): Promise<void> {
    return this.#files.run('sync', this.#path, true, async () => {
      const bytes = await this.#inner.size()
      await this.#inner.sync()
      this.#files.setDurable(this.#path, bytes)
    })
  }

  truncate(bytes: number): Promise<void> {
    return this.#files.run('truncate', this.#path, true, async () => {
      await this.#inner.truncate(bytes)
      this.#files.setDurable(this.#path, Math.min(bytes, this.#files.durableBytes(this.#path)))
    })
  }

  size(): Promise<number> {
    return this.#files.run('read', this.#path, false, () => this.#inner.size())
  }

  async close(): Promise<void> {
    this.#files.forget(this)
    await this.#files.track(this.release())
  }

  async release(): Promise<void> {
    if (!this.#isOpen) return
    this.#isOpen = false
    await this.#inner.close()
  }
}

function firstBytes(buffers: readonly Buffer[], bytes: number): Buffer {
  const all = Buffer.concat(buffers)
  return all.subarray(0, Math.min(bytes, all.length))
}

function systemError(code: string, text: string): Error {
  return Object.assign(new Error(`${code}: injected, ${text}`), { code })
}
