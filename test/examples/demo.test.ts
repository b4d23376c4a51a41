import { readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { type Program, startProgram, testFolder } from '../helpers/process.ts'
import { withDeadline } from '../helpers/signal.ts'
import { needsLinux } from '../helpers/tools.ts'

const DEMO = fileURLToPath(new URL('../../examples/demo/main.js', import.meta.url))
const LOGGER = fileURLToPath(new URL('../../examples/logger/main.js', import.meta.url))

/** A demo that has begun. */
interface Demo {
  readonly program: Program
  /** Folder of temporary files, of the demo alone. */
  readonly temporary: string
  /** Resolves when none of the programs that listened does so any more. */
  untilClosed(): Promise<unknown>
}

async function startDemo(t: ExecutionContext, ...args: readonly string[]): Promise<Demo> {
  const temporary = testFolder(t)
  const program = startProgram(t, process.execPath, [DEMO, '--interval-ms', '50', ...args], {
    TMPDIR: temporary
  })
  await says(program, /created .* \(1\)\n/)
  const ports = [...program.stdout.matchAll(/(?:mqtt|http):\/\/127\.0\.0\.1:(\d+)/g)].map(([, port]) =>
    Number(port)
  )
  t.is(new Set(ports).size, 4) // MQTT and HTTP of the server, API server, dashboard
  return { program, temporary, untilClosed: () => allClosed(t, [...new Set(ports)]) }
}

function says(program: Program, pattern: RegExp): Promise<unknown> {
  return program.until(
    () => {
      if (program.exit && !pattern.test(program.stdout)) throw new Error(`it has ended: ${program.story()}`)
      return pattern.test(program.stdout)
    },
    60_000,
    `${pattern}`
  )
}

/** Resolves when nobody listens any more. */
function allClosed(t: ExecutionContext, ports: readonly number[]): Promise<unknown> {
  const all = Promise.all(ports.map(port => closed(t, port)))
  return withDeadline(all, { deadlineMs: 60_000, describe: () => `the end of what listens on ${ports}` })
}

/** Connects again and again, each time until the other end goes away, until nobody listens. */
async function closed(t: ExecutionContext, port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1').resume()
    t.teardown(() => socket.destroy())
    let isRefused = false
    socket.on('error', (error: NodeJS.ErrnoException) => (isRefused = error.code === 'ECONNREFUSED'))
    await new Promise<void>(resolve => socket.on('close', () => resolve()))
    if (isRefused) return
  }
}

/** Process ids of the demo's program of this name, found by its folder in the command line. */
function pidsOf({ temporary }: Demo, name: string): number[] {
  return readdirSync('/proc')
    .filter(entry => /^\d+$/.test(entry))
    .filter(pid => {
      const command = commandLine(pid)
      return command.includes(temporary) && command.includes(`/examples/${name}/main.js`)
    })
    .map(Number)
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return '' // it has ended meanwhile
  }
}

test.serial('demo shows how the logger and the monitor catch up, and ends when all is handled', async t => {
  const data = join(testFolder(t), 'data')
  const { program, temporary } = await startDemo(t, '--customers', '6', '--data', data)
  t.is((await program.exited(60_000)).code, 0, program.story())
  t.regex(program.stdout, /demo +\| open http:\/\/127\.0\.0\.1:\d+ in a browser/)
  t.regex(program.stdout, /logger and monitor go away/)
  t.regex(program.stdout, /waiting for the logger: [23], for the monitor: [23]/)
  t.regex(program.stdout, /all 6 customers are logged/)
  t.deepEqual(readdirSync(temporary), [])
  const logger = startProgram(t, process.execPath, [
    LOGGER,
    '--summary',
    '--json',
    '--data',
    join(data, 'logger')
  ])
  await logger.exited()
  t.is((JSON.parse(logger.stdout) as { events: number }).events, 6)
})

test.serial('Ctrl-C ends the demo in good order and leaves nothing', async t => {
  const { program, temporary, untilClosed } = await startDemo(t)
  t.is(readdirSync(temporary).length, 1)
  t.deepEqual(await program.kill('SIGINT'), { code: 0, signal: null })
  await untilClosed()
  t.regex(program.stdout, /stopped; nothing is left\n$/)
  t.deepEqual(readdirSync(temporary), [])
  t.is(program.stderr, '')
})

test.serial('demo ends, says why and leaves nothing when one of its programs dies', async t => {
  if (!needsLinux(t)) return
  const demo = await startDemo(t)
  const [pid] = pidsOf(demo, 'logger')
  process.kill(pid!, 'SIGKILL')
  t.is((await demo.program.exited()).code, 1)
  await demo.untilClosed()
  t.regex(demo.program.stdout, /logger has ended by itself \(exit SIGKILL\)/)
  t.deepEqual(readdirSync(demo.temporary), [])
})

test.serial('programs of the demo end with it when it is killed', async t => {
  const demo = await startDemo(t)
  await demo.program.kill('SIGKILL')
  await demo.untilClosed()
  t.pass()
})
