import { existsSync, mkdtempSync, rmSync, watch } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { ExecutionContext } from 'ava'

/** A new empty folder, removed at the end of the test. */
export function temporaryFolder(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'restante-cli-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Resolves once the file is there; its folder must be. */
export function untilThere(t: ExecutionContext, file: string): Promise<void> {
  return new Promise(resolve => {
    const look = (): void => {
      if (existsSync(file)) resolve()
    }
    const watcher = watch(dirname(file), look)
    t.teardown(() => watcher.close())
    look()
  })
}
