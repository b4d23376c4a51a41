/**
 * `npm test`: lint, a clean build, the tests, what was skipped, and a last line `N passed, N failed`.
 *
 * Arguments go to ava; the name of a test file in TypeScript stands for its compiled one:
 * `npm test -- test/config.test.ts`. With `--long` the random tests run in the sizes of {@link LONG}.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Sizes of `npm run test:long`, each unless the environment has its own. */
const LONG = {
  RESTANTE_TEST_KILLS: '200',
  RESTANTE_TEST_RUNS: '2000',
  RESTANTE_TEST_TAKEOVERS: '300',
  RESTANTE_TEST_STUCK_ACKS: '1000000',
  RESTANTE_TEST_SPACE_MB: '1024',
  RESTANTE_TEST_CHAOS_ROUNDS: '40',
  RESTANTE_TEST_LONG: '1'
}

/** A line of the runner about a test that passed. */
const PASSED = /^ {2}[✔√] (?!\[expected fail\])/

/** Lines of the runner's summary that count failures. */
const FAILED = [
  /^ {2}(\d+) known failures?$/,
  /^ {2}(\d+) (?:tests?|hooks?) failed$/,
  /^ {2}(\d+) (?:unhandled rejections?|uncaught exceptions?)$/,
  /^ {2}(\d+) tests? remained pending after a timeout$/
]

const isLong = process.argv.includes('--long')
const dist = process.env.RESTANTE_DIST ?? 'dist'

process.exitCode = await main(process.argv.slice(2).filter(argument => argument !== '--long'))

/** @param {string[]} args @returns {Promise<number>} the exit code */
async function main(args) {
  if (!step('lint', 'biome', ['check', '--error-on-warnings', '.']) || !build()) return finish(0, 1)
  const folder = mkdtempSync(join(tmpdir(), 'restante-skips-'))
  try {
    const skips = join(folder, 'skips')
    const { passed, failed, exitCode } = await runTests(args.map(compiledName), skips)
    printSkips(skips)
    // an exit code without a reason that was counted is a failure all the same, and so is a run of no test
    return finish(passed, failed === 0 && (exitCode !== 0 || passed === 0) ? 1 : failed)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @param {number} passed @param {number} failed */
function finish(passed, failed) {
  console.log(`${passed} passed, ${failed} failed`)
  return failed === 0 ? 0 : 1
}

function build() {
  rmSync(dist, { recursive: true, force: true })
  return step('build', 'tsc', ['-p', 'tsconfig.json', '--outDir', dist])
}

/** Runs a tool of the project. @param {string} name @param {string} tool @param {string[]} args */
function step(name, tool, args) {
  const { status } = spawnSync(toolPath(tool), args, { stdio: 'inherit' })
  if (status !== 0) console.error(`${name} failed`)
  return status === 0
}

/** @param {string} tool */
function toolPath(tool) {
  return join('node_modules', '.bin', process.platform === 'win32' ? `${tool}.cmd` : tool)
}

/** @param {string} argument */
function compiledName(argument) {
  return argument.endsWith('.ts') ? join(dist, argument.replace(/\.ts$/, '.js')) : argument
}

/**
 * @param {string[]} args @param {string} skips file that collects skipped tests
 * @returns {Promise<{ passed: number, failed: number, exitCode: number | null }>}
 */
async function runTests(args, skips) {
  const env = { ...process.env, RESTANTE_TEST_SKIPS: skips, ...(isLong ? { ...LONG, ...sizesGiven() } : {}) }
  const extra = isLong ? ['--timeout', '60m'] : []
  const ava = spawn(toolPath('ava'), ['--no-color', ...extra, ...args], {
    env,
    stdio: ['ignore', 'pipe', 'inherit']
  })
  let output = ''
  ava.stdout.on('data', bytes => {
    process.stdout.write(bytes)
    output += bytes
  })
  const exitCode = await new Promise((resolve, reject) => ava.on('close', resolve).on('error', reject))
  return { ...count(output), exitCode }
}

function sizesGiven() {
  return Object.fromEntries(
    Object.keys(LONG).flatMap(name => (process.env[name] ? [[name, process.env[name]]] : []))
  )
}

/** Counts what the runner said. @param {string} output */
function count(output) {
  const passed = output.split('\n').filter(line => PASSED.test(line)).length
  // the summary stands behind the last rule of the report
  const summary = output.slice(output.lastIndexOf('\n  ─')).split('\n')
  const failed = summary.flatMap(line => FAILED.map(kind => Number(kind.exec(line.trimEnd())?.[1] ?? 0)))
  return { passed, failed: failed.reduce((sum, number) => sum + number, 0) }
}

/** @param {string} file */
function printSkips(file) {
  if (!existsSync(file)) return
  const lines = readFileSync(file, 'utf8').trim().split('\n')
  console.log(`${lines.length} tests were skipped and count as passed:`)
  for (const line of lines.sort()) console.log(`  ${line}`)
}
