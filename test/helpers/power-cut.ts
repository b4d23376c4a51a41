import {
  closeSync,
  existsSync,
  ftruncateSync,
  linkSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync
} from 'node:fs'
import { join } from 'node:path'
import type { SyncWatch } from './sync-watch.ts'
import { type ByteRange, type NameChange, readWatchLog } from './sync-watch-model.ts'
import type { Random } from './tools-random.ts'

/** What a disk writes as a whole, or not at all. */
const SECTOR_BYTES = 512

/** How to cut. */
export interface CutOptions {
  readonly random: Random
  /**
   * Whether unsynced changes of this name may be undone. Leave out the files of libraries that rely on the habits
   * of common file systems here.
   */
  readonly mayUndo: (path: string) => boolean
}

/** What the cut did, for the log of the test. */
export interface CutReport {
  readonly cutFiles: number
  /** Bytes that had been written and are gone or damaged. */
  readonly lostBytes: number
  readonly undoneNames: readonly string[]
}

/**
 * Makes a watched folder, whose program was killed, look as after a power cut: every file for itself keeps what was
 * synced and, of what was written later, a random part, torn and with flipped bits; changes of names whose folder
 * was not synced may be undone. What is left then counts as being on stable storage.
 */
export function cutPower(watch: SyncWatch, { random, mayUndo }: CutOptions): CutReport {
  const model = readWatchLog(watch.lines())
  const undoneNames = undoNames(
    watch,
    model.nameChanges.filter(change => mayUndo(change.path)),
    random
  )
  let cutFiles = 0
  let lostBytes = 0
  for (const path of filesBelow(watch.root)) {
    const { ino, size } = statSync(path)
    const unsynced = model.files.get(ino)?.unsynced(size) ?? []
    if (unsynced.length === 0) continue
    cutFiles++
    lostBytes += damage(path, size, unsynced, random)
  }
  watch.forget()
  return { cutFiles, lostBytes, undoneNames }
}

/** Undoes the changes of names from a random one on, newest first; returns the names. */
function undoNames(watch: SyncWatch, changes: readonly NameChange[], random: Random): string[] {
  const kept = random.below(changes.length + 1)
  const undone = changes.slice(kept).reverse()
  for (const change of undone) undo(watch, change)
  return undone.map(change => `${change.kind} ${change.path.slice(watch.root.length + 1)}`)
}

function undo(watch: SyncWatch, { kind, path, oldPath, grave }: NameChange): void {
  if (kind === 'create') rmSync(path, { force: true })
  else if (kind === 'rename' && existsSync(path)) renameSync(path, oldPath!)
  if (grave !== '-' && !existsSync(path)) linkSync(join(watch.graveFolder, grave), path)
}

/** Cuts and tears what was not synced; returns how many bytes were lost. */
function damage(path: string, size: number, unsynced: readonly ByteRange[], random: Random): number {
  const descriptor = openSync(path, 'r+')
  try {
    let lost = 0
    let end = size
    const tail = unsynced.at(-1)!
    if (tail.to === size) {
      end = tail.from + keptBytes(size - tail.from, random)
      ftruncateSync(descriptor, end)
      lost += size - end
    }
    for (const { from, to } of unsynced) lost += tear(descriptor, { from, to: Math.min(to, end) }, random)
    return lost
  } finally {
    closeSync(descriptor)
  }
}

/** How much of an unsynced tail is kept: often nothing or all, else any number of bytes. */
function keptBytes(bytes: number, random: Random): number {
  const draw = random.below(4)
  return draw === 0 ? 0 : draw === 1 ? bytes : random.below(bytes + 1)
}

/** Leaves some sectors of a range as they are, empties some, flips a bit in others; returns how many bytes suffered. */
function tear(descriptor: number, { from, to }: ByteRange, random: Random): number {
  let lost = 0
  const isGentle = random.chance(0.5)
  for (let at = from; at < to; ) {
    const end = Math.min(to, at - (at % SECTOR_BYTES) + SECTOR_BYTES)
    if (random.chance(isGentle ? 0.01 : 0.3)) {
      spoil(descriptor, { from: at, to: end }, random)
      lost += end - at
    }
    at = end
  }
  return lost
}

function spoil(descriptor: number, { from, to }: ByteRange, random: Random): void {
  const bytes = Buffer.alloc(to - from)
  if (random.chance(0.5)) {
    readSync(descriptor, bytes, 0, bytes.length, from)
    bytes[random.below(bytes.length)]! ^= 1 << random.below(8)
  }
  writeSync(descriptor, bytes, 0, bytes.length, from)
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
    .sort()
}
