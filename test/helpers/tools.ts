import { execFileSync } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import type { ExecutionContext } from 'ava'

/** How to get the programs that some tests need. */
const SOURCES: Readonly<Record<string, string>> = {
  cc: 'apt-get install gcc libc6-dev',
  mosquitto_pub: 'apt-get install mosquitto-clients',
  mosquitto_sub: 'apt-get install mosquitto-clients',
  npm: 'comes with Node',
  python3: 'apt-get install python3 python3-venv',
  promtool: 'apt-get install prometheus',
  'redis-server': 'apt-get install redis-server',
  haproxy: 'apt-get install haproxy',
  script: 'apt-get install bsdutils',
  stty: 'apt-get install coreutils'
}

/**
 * Whether all these programs are installed. If not, the test passes with one logged line
 * `SKIPPED <title>: needs X (get it: ...)`, which `npm test` collects; under RESTANTE_TEST_NO_SKIP=1 it fails.
 * Use: `if (!needs(t, 'mosquitto_sub')) return`.
 */
export function needs(t: ExecutionContext, ...programs: readonly string[]): boolean {
  const missing = programs.filter(program => !isInstalled(program))
  if (missing.length === 0) return true
  const sources = new Set(missing.map(program => SOURCES[program] ?? `install ${program}`))
  skip(t, `needs ${missing.join(', ')} (get it: ${[...sources].join('; ')})`)
  return false
}

/** Whether the test runs on Linux; if not, it is skipped as {@link needs} does. */
export function needsLinux(t: ExecutionContext): boolean {
  if (process.platform === 'linux') return true
  skip(t, `needs Linux (this is ${process.platform})`)
  return false
}

/** Marks a test as skipped, or fails it where nothing may be skipped. @param reason with the way to get what is missing. */
export function skip(t: ExecutionContext, reason: string): void {
  const line = `SKIPPED ${t.title}: ${reason}`
  t.log(line)
  if (process.env.RESTANTE_TEST_SKIPS) appendFileSync(process.env.RESTANTE_TEST_SKIPS, `${line}\n`)
  if (process.env.RESTANTE_TEST_NO_SKIP === '1') t.fail(line)
  else t.pass()
}

function isInstalled(program: string): boolean {
  try {
    execFileSync('sh', ['-c', 'command -v "$1"', 'sh', program], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
