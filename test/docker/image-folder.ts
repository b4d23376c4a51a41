import { cpSync, mkdirSync, symlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'
import { testFolder } from '../helpers/process.ts'
import { allInstructions, copies, type Stage } from './dockerfile.ts'

/** The folder of the project. */
export const TOP = fileURLToPath(new URL('../../../', import.meta.url))

/** The compiled programs of this run of the tests. */
const DIST = fileURLToPath(new URL('../../', import.meta.url))

/** As .dockerignore says. */
const IGNORED = /\.test\.ts$/

/** A folder with the files that an image has in /app, and no others; the libraries are those of the project. */
export function imageFolder(t: ExecutionContext, stages: readonly Stage[], target: string): string {
  const folder = testFolder(t)
  for (const { from, sources, target: to } of copies(allInstructions(stages, target))) {
    for (const source of sources) {
      if (basename(source) === 'node_modules')
        symlinkSync(join(TOP, source.replace('/app/', '')), join(folder, to))
      else {
        const path = from ? source.replace(/^\/app\/dist\//, DIST) : join(TOP, source)
        const place = sources.length > 1 || to.endsWith('/') ? join(to, basename(source)) : to
        mkdirSync(join(folder, place, '..'), { recursive: true })
        cpSync(path, join(folder, place), { recursive: true, filter: file => !IGNORED.test(file) })
      }
    }
  }
  return folder
}
