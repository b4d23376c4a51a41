import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const SOURCE = 'test/native/sync-watch.c'

/**
 * A fault for the files whose path contains `path` (`*`: all of the watched folder); kinds and numbers as in the head of
 * `test/native/sync-watch.c`.
 */
export interface Fault {
  readonly kind: 'full' | 'short' | 'eio-write' | 'eio-sync' | 'hold-sync' | 'slow-sync'
  readonly path: string
  /** Bytes for `full` and `short`, milliseconds for `slow-sync`; default 0. */
  readonly number?: number
}

/** The watch over one folder: environment for the program, faults, and where its log is. */
export interface SyncWatch {
  /** The watched folder. */
  readonly root: string
  readonly logFile: string
  /** Where removed files are kept for {@link cutPower}. */
  readonly graveFolder: string
  /** Environment to start the program with. */
  readonly env: Readonly<Record<string, string>>
  /** Sets the faults from now on; none: all is well again. */
  setFaults(...faults: Fault[]): void
  /** The log so far, a line each. */
  lines(): string[]
  /** How often this kind of fault has been injected. */
  injected(kind: Fault['kind']): number
  /** Forgets the log and what was kept: what is in the folder now counts as being on stable storage. */
  forget(): void
}

/** Builds the shim when it is missing or older than its source; returns its path. Needs `cc` and Linux. */
export function buildShim(): string {
  const dist = fileURLToPath(new URL('../../', import.meta.url))
  const source = join(dist, '..', SOURCE)
  const target = join(dist, 'test/native/sync-watch.so')
  if (existsSync(target) && statSync(target).mtimeMs > statSync(source).mtimeMs) return target
  mkdirSync(dirname(target), { recursive: true })
  // built beside and renamed: test files run side by side
  const fresh = `${target}.${process.pid}`
  execFileSync('cc', [
    '-O2',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-shared',
    '-fPIC',
    '-o',
    fresh,
    source,
    '-lpthread',
    '-ldl'
  ])
  renameSync(fresh, target)
  return target
}

/** Watches `root`, which is made if it is missing; log, graves and control file are put beside it. */
export function watchSyncs(root: string): SyncWatch {
  mkdirSync(root, { recursive: true })
  const folder = `${root}.watch`
  const graveFolder = join(folder, 'graves')
  const logFile = join(folder, 'log')
  const control = join(folder, 'control')
  mkdirSync(graveFolder, { recursive: true })
  const lines = () => (existsSync(logFile) ? readFileSync(logFile, 'utf8').split('\n').slice(0, -1) : [])
  return {
    root,
    logFile,
    graveFolder,
    env: {
      LD_PRELOAD: buildShim(),
      SYNC_WATCH_ROOT: root,
      SYNC_WATCH_LOG: logFile,
      SYNC_WATCH_GRAVE: graveFolder,
      SYNC_WATCH_CONTROL: control,
      UV_USE_IO_URING: '0'
    },
    setFaults(...faults) {
      const text = faults.map(fault => `${fault.kind} ${fault.number ?? 0} ${fault.path}\n`).join('')
      writeFileSync(`${control}.new`, text)
      renameSync(`${control}.new`, control)
    },
    lines,
    injected: kind => lines().filter(line => line.startsWith(`F ${kind} `)).length,
    forget() {
      rmSync(logFile, { force: true })
      rmSync(graveFolder, { recursive: true, force: true })
      mkdirSync(graveFolder, { recursive: true })
    }
  }
}
