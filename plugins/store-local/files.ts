import * as fs from 'node:fs'
import { dirname } from 'node:path'

const { O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC } = fs.constants
// On Linux one O_DSYNC write is a write and its sync in one call. Elsewhere the flag is missing or means less.
const O_DSYNC = process.platform === 'linux' ? fs.constants.O_DSYNC : 0
const FILE_MODE = 0o600
const DIRECTORY_MODE = 0o700

/** Whether files opened as `-synced` put every write on stable storage by themselves. */
export const HAS_SYNCED_WRITES = O_DSYNC !== 0

/**
 * How a file is opened: `read`; `create` a new one (fails when there is one); `replace` creates it or empties it;
 * `write` opens one that is there. With `-synced` a write ends when it is on stable storage, where
 * {@link HAS_SYNCED_WRITES}.
 */
export type OpenMode = 'read' | 'create' | 'create-synced' | 'replace' | 'write' | 'write-synced'

/** An open file. Positions and sizes are bytes. Errors are those of node:fs. */
export interface OpenFile {
  /** Reads into `target`; returns the bytes read, which may be fewer than asked; 0 at the end of the file. */
  read(target: Buffer, position: number): Promise<number>
  /** Writes the buffers one behind the other; returns the bytes written, which may be fewer than given. */
  write(buffers: readonly Buffer[], position: number): Promise<number>
  /** Puts data and size on stable storage. */
  sync(): Promise<void>
  truncate(bytes: number): Promise<void>
  size(): Promise<number>
  close(): Promise<void>
}

/** Everything the store asks of a file system. Tests put one in its place that fails where they want. */
export interface Files {
  open(path: string, mode: OpenMode): Promise<OpenFile>
  /** Names in a folder, in no order. */
  list(directory: string): Promise<string[]>
  /** Makes a folder and those above it; nothing happens when it is there. */
  makeDirectory(path: string): Promise<void>
  /** Gives a file another name, in one step, in place of one that has that name. */
  rename(from: string, to: string): Promise<void>
  remove(path: string): Promise<void>
  /** Puts the names in a folder on stable storage. */
  syncDirectory(path: string): Promise<void>
}

/** The file system of the machine. */
export const systemFiles: Files = {
  async open(path, mode) {
    return new SystemFile(await promised<number>(done => fs.open(path, FLAGS[mode], FILE_MODE, done)))
  },
  list: directory => promised<string[]>(done => fs.readdir(directory, done)),
  async makeDirectory(path) {
    await fs.promises.mkdir(path, { recursive: true, mode: DIRECTORY_MODE })
  },
  rename: (from, to) => promised<void>(done => fs.rename(from, to, done)),
  remove: path => promised<void>(done => fs.unlink(path, done)),
  async syncDirectory(path) {
    if (process.platform === 'win32') return // folders cannot be opened there
    const folder = await promised<number>(done => fs.open(path, O_RDONLY, done))
    try {
      await promised<void>(done => fs.fsync(folder, done))
    } finally {
      await promised<void>(done => fs.close(folder, done))
    }
  }
}

const FLAGS: Readonly<Record<OpenMode, number>> = {
  read: O_RDONLY,
  create: O_RDWR | O_CREAT | O_EXCL,
  'create-synced': O_RDWR | O_CREAT | O_EXCL | O_DSYNC,
  replace: O_RDWR | O_CREAT | O_TRUNC,
  write: O_RDWR,
  'write-synced': O_RDWR | O_DSYNC
}

class SystemFile implements OpenFile {
  readonly #descriptor: number

  constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  read(target: Buffer, position: number): Promise<number> {
    return promised<number>(done => fs.read(this.#descriptor, target, 0, target.length, position, done))
  }

  write(buffers: readonly Buffer[], position: number): Promise<number> {
    const only = buffers.length === 1 ? buffers[0] : undefined
    return promised<number>(done =>
      only
        ? fs.write(this.#descriptor, only, 0, only.length, position, done)
        : fs.writev(this.#descriptor, buffers, position, done)
    )
  }

  sync(): Promise<void> {
    return promised<void>(done => fs.fdatasync(this.#descriptor, done))
  }

  truncate(bytes: number): Promise<void> {
    return promised<void>(done => fs.ftruncate(this.#descriptor, bytes, done))
  }

  async size(): Promise<number> {
    return (await promised<fs.Stats>(done => fs.fstat(this.#descriptor, done))).size
  }

  close(): Promise<void> {
    return promised<void>(done => fs.close(this.#descriptor, done))
  }
}

// The callback form of node:fs costs less than FileHandle, and a commit waits for it.
function promised<T>(call: (done: (error: Error | null, value?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) =>
    call((error, value) => (error ? reject(error) : resolve(value as T)))
  )
}

/** Writes all of the buffers, in as many calls as the file system needs. */
export async function writeAll(file: OpenFile, buffers: readonly Buffer[], position: number): Promise<void> {
  let rest = buffers
  for (;;) {
    let written = await file.write(rest, position)
    position += written
    let first = 0
    while (first < rest.length && written >= rest[first]!.length) written -= rest[first++]!.length
    if (first === rest.length) return
    if (first === 0 && written === 0) throw new Error('the file system took no byte')
    rest = [rest[first]!.subarray(written), ...rest.slice(first + 1)]
  }
}

/** Reads `length` bytes, or fewer where the file ends, into a buffer of their own. */
export async function readAt(file: OpenFile, position: number, length: number): Promise<Buffer> {
  const target = Buffer.allocUnsafeSlow(length)
  let filled = 0
  while (filled < length) {
    const count = await file.read(target.subarray(filled), position + filled)
    if (count === 0) break
    filled += count
  }
  return target.subarray(0, filled)
}

/** The bytes of a whole file. */
export async function readWhole(files: Files, path: string): Promise<Buffer> {
  const file = await files.open(path, 'read')
  try {
    return await readAt(file, 0, await file.size())
  } finally {
    await file.close()
  }
}

/** Puts a file with these bytes in place, whole or not at all; it is on stable storage when this resolves. */
export async function replaceFile(files: Files, path: string, bytes: Buffer): Promise<void> {
  const temporary = `${path}.tmp`
  const file = await files.open(temporary, 'replace')
  try {
    await writeAll(file, [bytes], 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await files.rename(temporary, path)
  await files.syncDirectory(dirname(path))
}

/** Removes a file; it is no error when there is none. */
export async function removeIfThere(files: Files, path: string): Promise<void> {
  try {
    await files.remove(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
