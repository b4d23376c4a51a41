import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import {
  type Program,
  type ServerProcess,
  startProgram,
  startServer,
  testFolder
} from '../helpers/process.ts'
import { RawClient } from '../helpers/raw-client.ts'
import { needs, skip } from '../helpers/tools.ts'

const TOP = fileURLToPath(new URL('../../../', import.meta.url))

/** Requests that are made up for each operation, besides the fixed ones. */
const RUNS = Number(process.env.RESTANTE_TEST_RUNS ?? 5)
const SEED = Number(process.env.RESTANTE_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31))

/** Long enough for {@link RUNS}; a request that is not answered is told after ten seconds. */
const DEADLINE_MS = 60_000 + RUNS * 5_000

/**
 * All checks, but for two that do not fit: what a schema cannot say, such as the grammar of topics, would be found by the
 * first; the second takes the purge of a backlog for the end of a thing. One operation may answer with whatever was published.
 */
const CONFIG = `
[checks]
positive_data_acceptance.enabled = false
use_after_free.enabled = false
negative_data_rejection.expected-statuses = [400, 404, 405, 413, 415, 431]

[[operations]]
include-operation-id = "getMessage"
checks.content_type_conformance.enabled = false
checks.response_schema_conformance.enabled = false
`

const SHOWN_CHARACTERS = 400

/** Where Schemathesis is installed; without it the test is skipped. */
function schemathesis(t: ExecutionContext): string | undefined {
  const script = 'test/fuzz/build.sh'
  try {
    const folder = execFileSync('bash', [script, '--folder'], { cwd: TOP, stdio: 'pipe' })
    return join(folder.toString().trim(), 'venv/bin/schemathesis')
  } catch {
    skip(t, `needs Schemathesis (get it: ${script})`)
    return undefined
  }
}

/** Sessions that are here and away, with messages for them. */
async function populate(t: ExecutionContext, { mqttPort, httpPort }: ServerProcess): Promise<void> {
  const away = await RawClient.connect(mqttPort, { clientId: 'logger', clean: false })
  await away.subscribe(['DB/#', 'MAIL/+'])
  await away.disconnect()
  const here = await RawClient.connect(mqttPort, { clientId: 'a/b ü', clean: false, isAcking: false })
  t.teardown(() => here.destroy())
  await here.subscribe('#')
  for (const topic of ['DB/CREATE', 'DB/UPDATE', 'MAIL/SENT', 'solo']) {
    const query = new URLSearchParams({ topic, retain: 'true', userProperty: 'trace=1' })
    const response = await fetch(`http://127.0.0.1:${httpPort}/v1/publish?${query}`, {
      method: 'POST',
      body: 'x'
    })
    t.is(response.status, 201)
  }
}

/** What it found, without the bulk of made-up requests. */
function story({ stdout, stderr }: Program): string {
  return `${stdout}\n${stderr}`
    .split('\n')
    .map(line => (line.length > SHOWN_CHARACTERS ? `${line.slice(0, SHOWN_CHARACTERS)}…` : line))
    .join('\n')
}

test('answers to made-up requests are as the description says', async t => {
  const command = needs(t, 'python3') && schemathesis(t)
  if (!command) return
  t.log(`RESTANTE_TEST_SEED=${SEED} RESTANTE_TEST_RUNS=${RUNS}`)
  const server = await startServer(t, { store: 'memory' })
  await populate(t, server)
  const folder = testFolder(t)
  const config = join(folder, 'schemathesis.toml')
  writeFileSync(config, CONFIG)
  const base = `http://127.0.0.1:${server.httpPort}`
  // it leaves files where it runs
  const program = startProgram(t, 'sh', [
    ...['-c', 'cd "$1" && shift && exec "$@"', 'sh', folder, command],
    ...['--config-file', config, 'run', `${base}/openapi.json`],
    ...['--seed', String(SEED), '--max-examples', String(RUNS), '--request-timeout', '10'],
    ...['--generation-database', 'none', '--suppress-health-check', 'all', '--no-color']
  ])
  const exit = await program.exited(DEADLINE_MS)
  t.is(exit.code, 0, `RESTANTE_TEST_SEED=${SEED}\n${story(program)}`)
  t.is((await fetch(`${base}/health/ready`)).status, 200)
  const errors = server.program.stderr.split('\n').filter(line => /"level":(?:50|60)/.test(line))
  t.deepEqual(errors, [])
})
