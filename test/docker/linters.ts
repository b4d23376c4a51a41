import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { skip } from '../helpers/tools.ts'
import { TOP } from './image-folder.ts'

/** What `test/docker/build.sh` gets. */
export type Linter = 'hadolint' | 'dclint' | 'kube-score' | 'kubernetes'

/** What a program has said. */
export interface Findings {
  readonly status: number | null
  readonly text: string
}

/** The path of a linter, or undefined and the test is skipped. */
export function linterPath(t: ExecutionContext, linter: Linter): string | undefined {
  const found = spawnSync('bash', [join(TOP, 'test/docker/build.sh'), '--path', linter], { encoding: 'utf8' })
  if (found.status === 0) return found.stdout.trim()
  skip(t, `needs ${linter} (get it: test/docker/build.sh)`)
  return undefined
}

/** Runs a program to its end. */
export function findings(program: string, args: readonly string[]): Findings {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' })
  return { status, text: error ? String(error) : `${stdout}${stderr}`.trim() }
}
