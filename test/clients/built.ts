import { execFileSync } from 'node:child_process'
import type { ExecutionContext } from 'ava'
import { skip } from '../helpers/tools.ts'

/** A program that `build.sh` builds. */
export type Built = 'go' | 'java' | 'python'

/**
 * The folder that a program is built in; the test only uses what is there.
 * If it is not built, the test is skipped as `needs` does, with the way to build it, and undefined is returned.
 * @param top the folder of the project.
 */
export function builtFolder(t: ExecutionContext, top: string, name: Built): string | undefined {
  const script = 'test/clients/build.sh'
  try {
    const folder = execFileSync('bash', [script, '--folder', name], { cwd: top, stdio: 'pipe' })
    return folder.toString().trim()
  } catch {
    skip(t, `needs the ${name} clients as their sources are now (get it: ${script} ${name})`)
    return undefined
  }
}
