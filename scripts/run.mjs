/**
 * Runs a program of the project: `node scripts/run.mjs examples/logger/main --summary`. The project is built before, when a
 * source is newer than what was built last; programs that run already are not disturbed otherwise.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const top = dirname(dirname(fileURLToPath(import.meta.url)))
const [, , program, ...args] = process.argv
if (!program) throw new Error('expected a program, such as examples/logger/main')

const built = join(top, 'dist', `${program}.js`)
if (isOld()) build()
process.argv = [process.argv[0], built, ...args]
await import(pathToFileURL(built).href)

function isOld() {
  const builtAt = statSync(built, { throwIfNoEntry: false })?.mtimeMs ?? 0
  return ['src', 'plugins', 'examples'].some(folder => newestIn(join(top, folder)) > builtAt)
}

/** When a source in a folder was last changed. @param {string} folder @returns {number} */
function newestIn(folder) {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  const sources = files.filter(file => file.endsWith('.ts') && !file.endsWith('.test.ts'))
  return Math.max(0, ...sources.map(file => statSync(join(folder, file)).mtimeMs))
}

function build() {
  const { status } = spawnSync('npm', ['run', '--silent', 'build'], { cwd: top, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
