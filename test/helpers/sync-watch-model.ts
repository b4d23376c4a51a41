/** A run of bytes of a file: from `from` up to, but not including, `to`. */
export interface ByteRange {
  readonly from: number
  readonly to: number
}

/** A write that is not known to be on stable storage. */
interface DirtyWrite {
  readonly from: number
  to: number
  isDone: boolean
  /** A sync that covered it has failed: no later sync brings it back. */
  isLost: boolean
}

/** What is known of one file, whatever its name is at the moment. */
export class WatchedFile {
  /** Size of which at least this much is on stable storage, apart from dirty writes inside. */
  syncedBytes: number
  readonly #dirty = new Set<DirtyWrite>()

  constructor(syncedBytes: number) {
    this.syncedBytes = syncedBytes
  }

  /** A write is about to be tried. */
  begin(from: number, to: number): DirtyWrite {
    const write = { from, to, isDone: false, isLost: false }
    this.#dirty.add(write)
    return write
  }

  /** It ended after `bytes` (negative: failed). */
  end(write: DirtyWrite, bytes: number, sync: 'none' | 'done' | 'failed'): void {
    write.isDone = true
    write.isLost = sync === 'failed'
    write.to = write.from + Math.max(bytes, 0)
    if (bytes <= 0) this.#dirty.delete(write)
    if (bytes <= 0 || sync !== 'done') return
    for (const old of this.#dirty) {
      if (old.isDone && old.from >= write.from && old.to <= write.to) this.#dirty.delete(old)
    }
    if (write.from <= this.syncedBytes) this.syncedBytes = Math.max(this.syncedBytes, write.to)
  }

  /** The writes that a sync which begins now covers. */
  covered(): DirtyWrite[] {
    return [...this.#dirty].filter(write => write.isDone && !write.isLost)
  }

  /** A sync ended. */
  synced(covered: readonly DirtyWrite[], sizeBytes: number, isOk: boolean): void {
    for (const write of covered) {
      if (isOk) this.#dirty.delete(write)
      else write.isLost = true
    }
    if (isOk) this.syncedBytes = Math.max(this.syncedBytes, sizeBytes)
  }

  /** The file is cut or extended to this size. What is cut is gone at once: the kinder of two outcomes. */
  resize(sizeBytes: number): void {
    this.syncedBytes = Math.min(this.syncedBytes, sizeBytes)
    for (const write of this.#dirty) {
      write.to = Math.min(write.to, sizeBytes)
      if (write.isDone && write.to <= write.from) this.#dirty.delete(write)
    }
  }

  /** The bytes of a file of this size that a power cut may take, in ascending order. */
  unsynced(sizeBytes: number): ByteRange[] {
    const ranges: ByteRange[] = [...this.#dirty].map(({ from, to }) => ({
      from,
      to: Math.min(to, sizeBytes)
    }))
    if (sizeBytes > this.syncedBytes) ranges.push({ from: this.syncedBytes, to: sizeBytes })
    return mergeRanges(ranges)
  }
}

/** Joins ranges that touch or overlap; empty ones are dropped. */
export function mergeRanges(ranges: readonly ByteRange[]): ByteRange[] {
  const merged: { from: number; to: number }[] = []
  for (const { from, to } of ranges.filter(range => range.to > range.from).sort((a, b) => a.from - b.from)) {
    const last = merged.at(-1)
    if (last && from <= last.to) last.to = Math.max(last.to, to)
    else merged.push({ from, to })
  }
  return merged
}

/** A change of names that a power cut may undo, because its folder was not synced since. */
export interface NameChange {
  readonly kind: 'create' | 'rename' | 'remove'
  /** The name that came or went. */
  readonly path: string
  /** Renames: the name before. */
  readonly oldPath?: string
  /** Name of the link under which a replaced or removed file is kept; '-' when there was none. */
  readonly grave: string
  /** Folder whose sync makes it stable. */
  readonly folder: string
}

/** What the log of a watch says about a folder. */
export interface WatchModel {
  /** By inode. */
  readonly files: ReadonlyMap<number, WatchedFile>
  /** Name changes that are not on stable storage, oldest first. */
  readonly nameChanges: readonly NameChange[]
}

/** Reads the log of a watch; its lines are described in `test/native/sync-watch.c`. */
export function readWatchLog(lines: readonly string[]): WatchModel {
  const reader = new LogReader()
  for (const line of lines) reader.read(line)
  return { files: reader.files, nameChanges: reader.nameChanges }
}

/** The last word of a `w` line. */
const SYNC_OF = ['none', 'done', 'failed'] as const

class LogReader {
  readonly files = new Map<number, WatchedFile>()
  nameChanges: NameChange[] = []
  #process = ''
  readonly #writes = new Map<string, { file: WatchedFile; write: DirtyWrite }>()
  readonly #syncs = new Map<string, { file: WatchedFile; covered: DirtyWrite[]; sizeBytes: number }>()
  readonly #folderSyncs = new Map<string, NameChange[]>()

  read(line: string): void {
    const [kind = '', ...words] = line.split(' ')
    const rest = (from: number) => words.slice(from).join(' ')
    const number = (index: number) => Number(words[index])
    if (kind === 'O') this.#file(number(0), number(1))
    else if (kind === 'C') this.#create(number(0), rest(1))
    else if (kind === 'W') this.#beginWrite(words[0]!, number(1), number(2), number(3))
    else if (kind === 'w') this.#endWrite(words[0]!, number(1), SYNC_OF[number(2)] ?? 'none')
    else if (kind === 'S') this.#beginSync(words[0]!, number(1), number(2))
    else if (kind === 's') this.#endSync(words[0]!, number(1) === 1)
    else if (kind === 'T') this.#file(number(0), 0).resize(number(1))
    else if (kind === 'D') this.#folderSyncs.set(words[0]!, this.#changesIn(rest(1)))
    else if (kind === 'd') this.#endFolderSync(words[0]!, number(1) === 1)
    else if (kind === 'N') this.#rename(words[0]!, rest(1))
    else if (kind === 'U') this.#change('remove', rest(1), words[0]!)
  }

  #file(inode: number, sizeBytes: number): WatchedFile {
    let file = this.files.get(inode)
    if (!file) this.files.set(inode, (file = new WatchedFile(sizeBytes)))
    return file
  }

  #create(inode: number, path: string): void {
    this.files.set(inode, new WatchedFile(0)) // the inode number may have belonged to a removed file
    this.#change('create', path, '-')
  }

  #beginWrite(id: string, inode: number, from: number, to: number): void {
    this.#noteProcess(id)
    const file = this.#file(inode, 0)
    this.#writes.set(id, { file, write: file.begin(from, to) })
  }

  #endWrite(id: string, bytes: number, sync: 'none' | 'done' | 'failed'): void {
    const begun = this.#writes.get(id)
    begun?.file.end(begun.write, bytes, sync)
    this.#writes.delete(id)
  }

  /** What a killed process had begun to write has been written or never will be: its successor's syncs cover it. */
  #noteProcess(id: string): void {
    const process = id.slice(0, id.indexOf('.'))
    if (process === this.#process) return
    this.#process = process
    for (const { write } of this.#writes.values()) write.isDone = true
    this.#writes.clear()
  }

  #beginSync(id: string, inode: number, sizeBytes: number): void {
    this.#noteProcess(id)
    const file = this.#file(inode, 0)
    this.#syncs.set(id, { file, covered: file.covered(), sizeBytes })
  }

  #endSync(id: string, isOk: boolean): void {
    const begun = this.#syncs.get(id)
    begun?.file.synced(begun.covered, begun.sizeBytes, isOk)
    this.#syncs.delete(id)
  }

  #rename(grave: string, names: string): void {
    const [oldPath = '', path = ''] = names.split('\t')
    this.nameChanges.push({ kind: 'rename', path, oldPath, grave, folder: folderOf(path) })
  }

  #change(kind: 'create' | 'remove', path: string, grave: string): void {
    this.nameChanges.push({ kind, path, grave, folder: folderOf(path) })
  }

  #changesIn(folder: string): NameChange[] {
    return this.nameChanges.filter(change => change.folder === folder)
  }

  #endFolderSync(id: string, isOk: boolean): void {
    const stable = new Set(this.#folderSyncs.get(id))
    if (isOk) this.nameChanges = this.nameChanges.filter(change => !stable.has(change))
    this.#folderSyncs.delete(id)
  }
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'))
}
