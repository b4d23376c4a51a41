import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { MAIN, type ServerProcess, startServer, testFolder } from './helpers/process.ts'
import { RawClient } from './helpers/raw-client.ts'
import { DEADLINE_MS, Signal } from './helpers/signal.ts'
import { needs } from './helpers/tools.ts'

/*
 * What README says is done here, section by section, each with a server of its own:
 *
 * - `sh` and `js` blocks are run in their order; a `yaml` block is the file that its first line names;
 * - a `text` block shows what the block above it prints, and behind it what commands print that are left running
 *   (a subscriber without an end); times, ages, sizes and ports are not compared;
 * - where the text between two blocks says Ctrl-C, what was left running is ended so;
 * - `npm` is not run: it must be a script that there is.
 */

const TOP = fileURLToPath(new URL('../../', import.meta.url))
const read = (name: string) => readFileSync(join(TOP, name), 'utf8')

interface Piece {
  /** `prose`, or the language of a block. */
  readonly kind: string
  readonly text: string
}

interface Section {
  readonly title: string
  readonly pieces: readonly Piece[]
}

/** The parts of a page that have blocks. */
function sectionsOf(page: string): Section[] {
  return page.split(/^## /m).flatMap(text => {
    const title = text.slice(0, text.indexOf('\n'))
    const parts = text.split(/^```(\w*)\n([\s\S]*?)^```$/m)
    const pieces: Piece[] = []
    for (let i = 0; i < parts.length; i += 3) {
      pieces.push({ kind: 'prose', text: parts[i]! })
      if (i + 1 < parts.length) pieces.push({ kind: parts[i + 1]!, text: parts[i + 2]! })
    }
    return pieces.some(({ kind }) => kind === 'sh' || kind === 'js') ? [{ title, pieces }] : []
  })
}

/** Takes out of a text what is different at each run. */
function comparable(text: string): string {
  return text
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:PORT')
    .replace(/port: \d+/g, 'port: PORT')
    .replace(/"id":"[\w-]+:(?=\d)/g, '"id":"LANE:')
    .replace(/\b\d+ (ms|s|min|h|d)\b/g, 'AGE')
    .replace(/\b[\d.]+\/s\b/g, 'RATE')
    .replace(/(?<="ratePerSecond":)[\d.]+/g, 'RATE')
    .replace(/\b[\d.]+ k?B\b/g, 'SIZE')
    .replace(/,\n\s*/g, ',') // JSON, wrapped to be read
    .replace(/ +/g, ' ')
    .trim()
}

/** A command or program of the page, in a process group of its own. */
class Run {
  readonly child: ChildProcess
  readonly #signal: Signal
  stdout = ''
  stderr = ''
  exitCode: number | null | undefined
  /** What was compared already. */
  shown = 0

  constructor(
    signal: Signal,
    command: string,
    args: readonly string[],
    options: { cwd: string; env: NodeJS.ProcessEnv }
  ) {
    this.#signal = signal
    this.child = spawn(command, args, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    this.child.stdout!.on('data', bytes => this.#add('stdout', bytes))
    this.child.stderr!.on('data', bytes => this.#add('stderr', bytes))
    // no process outlives the tests, also when the runner ends them
    const kill = () => process.kill(-this.child.pid!, 'SIGKILL')
    process.once('exit', kill)
    this.child.on('close', code => {
      process.off('exit', kill)
      this.exitCode = code
      signal.notify()
    })
  }

  /** As Ctrl-C and a closed terminal do. */
  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.exitCode !== undefined) return
    const closed = once(this.child, 'close')
    process.kill(-this.child.pid!, signal)
    await closed
  }

  #add(to: 'stdout' | 'stderr', bytes: Buffer): void {
    this[to] += bytes.toString()
    this.#signal.notify()
  }
}

/** Somebody who types what the page says. */
class Reader {
  readonly #t: ExecutionContext
  readonly #server: ServerProcess
  readonly #folder: string
  readonly #signal = new Signal()
  readonly #running: Run[] = []
  #last: Run | null = null
  #blocks = 0

  constructor(t: ExecutionContext, server: ServerProcess) {
    this.#t = t
    this.#server = server
    this.#folder = testFolder(t)
    t.teardown(() => Promise.all(this.#running.map(run => run.end('SIGKILL'))))
    this.#shim('npx', `[ "$1" = restante ] || exit 127; shift; exec "${process.execPath}" "${MAIN}" "$@"`)
    for (const name of ['mosquitto_sub', 'mosquitto_pub']) {
      this.#shim(name, `PATH="\${PATH#*:}"; exec ${name} -h 127.0.0.1 -p ${server.mqttPort} "$@"`)
    }
  }

  async read({ kind, text }: Piece, next: Piece | undefined): Promise<void> {
    if (kind === 'prose' && text.includes('Ctrl-C')) await this.#interrupt()
    else if (kind === 'yaml') writeFileSync(join(this.#folder, /^# (\S+)\n/.exec(text)![1]!), text)
    else if (kind === 'sh' && text.startsWith('npm ')) this.#checkScripts(text)
    else if (kind === 'sh') await this.#type(text, next)
    else if (kind === 'js') await this.#program(text, next)
    else if (kind === 'text') await this.#compare(text)
  }

  async #type(text: string, next: Piece | undefined): Promise<void> {
    const run = this.#start('/bin/sh', ['-e', '-c', this.#here(text)])
    const session = /^(?:mosquitto_sub|npx restante subscribe)\b(?!.*--count).*?(?:-i|--id) (\w+)/.exec(
      text
    )?.[1]
    if (session) await this.#connected(session, true)
    else if (next?.kind !== 'text') await this.#exited(run)
  }

  async #program(text: string, next: Piece | undefined): Promise<void> {
    const file = join(this.#folder, `block-${++this.#blocks}.mjs`)
    const found: Record<string, string> = {
      mqtt: import.meta.resolve('mqtt'),
      restante: new URL('../src/index.js', import.meta.url).href,
      'restante/client': new URL('../src/client/index.js', import.meta.url).href,
      'restante/plugin': new URL('../src/plugin.js', import.meta.url).href
    }
    const code = text.replace(/(?<= from ')([\w/]+)(?=')/g, name => found[name] ?? name)
    writeFileSync(file, this.#here(code))
    const run = this.#start(process.execPath, [file])
    if (next?.kind !== 'text') await this.#exited(run)
  }

  /** The last block's output, then that of what is left running, since they were compared last. */
  async #compare(text: string): Promise<void> {
    const wanted = comparable(text)
    const runs = [this.#last!, ...this.#running.filter(run => run !== this.#last)]
    const got = () =>
      comparable(
        runs
          .map(run => run.stdout.slice(run.shown))
          .join('')
          .replaceAll(this.#folder, '/home/me')
      )
    const hasIt = () => got() === wanted
    await this.#signal.until(hasIt, { describe: () => wanted }).catch(() => {})
    this.#t.is(got(), wanted, runs.map(run => run.stderr).join(''))
    for (const run of runs) run.shown = run.stdout.length
  }

  #start(command: string, args: readonly string[]): Run {
    const { mqttPort, httpPort } = this.#server
    const env = {
      ...process.env,
      PATH: `${this.#folder}:${process.env.PATH}`,
      RESTANTE_URL: `mqtt://127.0.0.1:${mqttPort}`,
      RESTANTE_HTTP_URL: `http://127.0.0.1:${httpPort}`
    }
    const run = new Run(this.#signal, command, args, { cwd: this.#folder, env })
    this.#running.push(run)
    this.#last = run
    return run
  }

  async #exited(run: Run): Promise<void> {
    await this.#signal.until(() => run.exitCode !== undefined, { describe: () => run.stdout + run.stderr })
    this.#t.is(run.exitCode, 0, run.stderr)
  }

  async #interrupt(): Promise<void> {
    for (const run of this.#running.splice(0)) await run.end('SIGINT')
    const { sessions } = (await this.#get('sessions')) as { sessions: { id: string }[] }
    for (const { id } of sessions) await this.#connected(id, false)
  }

  /** Asks until the session is connected, with a subscription, or not connected. */
  async #connected(id: string, isConnected: boolean): Promise<void> {
    const deadline = Date.now() + DEADLINE_MS
    for (;;) {
      const session = (await this.#get(`sessions/${id}`)) as {
        connected?: boolean
        subscriptions?: unknown[]
      }
      const isReady = !isConnected || (session.subscriptions?.length ?? 0) > 0
      if (session.connected === isConnected && isReady) return
      if (Date.now() > deadline) throw new Error(`${id}: ${JSON.stringify(session)}`)
    }
  }

  async #get(path: string): Promise<unknown> {
    return (await fetch(`http://127.0.0.1:${this.#server.httpPort}/v1/${path}`)).json()
  }

  #checkScripts(text: string): void {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    for (const [, name, file] of text.matchAll(/npm (?:run )?(?!ci)([\w:]+)(?: -- (\S+\.ts))?/g)) {
      this.#t.true(Object.hasOwn(scripts, name!), `npm run ${name}`)
      if (file) this.#t.true(existsSync(join(TOP, file)), file)
    }
  }

  #here(text: string): string {
    const { mqttPort, httpPort } = this.#server
    return text
      .replaceAll('localhost:1883', `127.0.0.1:${mqttPort}`)
      .replaceAll('localhost:8080', `127.0.0.1:${httpPort}`)
  }

  #shim(name: string, script: string): void {
    const file = join(this.#folder, name)
    writeFileSync(file, `#!/bin/sh\n${script}\n`)
    chmodSync(file, 0o755)
  }
}

for (const { title, pieces } of sectionsOf(read('README.md'))) {
  // one after the other: what is shown has times of seconds
  test.serial(`README, "${title}": what is shown is what happens`, async t => {
    t.timeout(120_000)
    const code = pieces.filter(({ kind }) => kind === 'sh').map(({ text }) => text)
    const programs = ['mosquitto_sub', 'mosquitto_pub', 'curl'].filter(name =>
      code.some(text => text.includes(name))
    )
    if (!needs(t, ...programs)) return
    const reader = new Reader(t, await startServer(t))
    const spoken = pieces.filter(({ kind, text }) => kind !== 'prose' || text.trim() !== '')
    for (const [index, piece] of spoken.entries()) await reader.read(piece, spoken[index + 1])
    t.pass()
  })
}

test('files and places that the pages name are there', t => {
  for (const page of ['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md']) {
    const text = read(page)
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)]
      .map(found => found[1]!)
      .filter(link => !link.includes('://'))
    for (const link of links) {
      const [file, place] = link.split('#')
      t.true(existsSync(join(TOP, file || page)), `${page}: ${link}`)
      const heads = [...read(file || page).matchAll(/^#+ (.*)$/gm)].map(found =>
        found[1]!.toLowerCase().replace(/\W+/g, '-')
      )
      if (place) t.true(heads.includes(place), `${page}: ${link}`)
    }
    // in prose and in pictures; those of src may stand without it
    for (const [name] of text.matchAll(/(?<![\w./-])(?!\.\/)[\w.-]+\/[\w./-]*\.(?:test\.)?ts\b/g)) {
      t.true(existsSync(join(TOP, name)) || existsSync(join(TOP, 'src', name)), `${page}: ${name}`)
    }
    for (const [, name] of text.matchAll(/`((?:src|plugins|test|bench|scripts|\.ci)\/[\w./-]*)`/g)) {
      t.true(existsSync(join(TOP, name!)), `${page}: ${name}`)
    }
  }
})

test('what README says is not there yet is refused as it says, and CONNACK says so', async t => {
  const { mqttPort } = await startServer(t, { store: 'memory' })
  const five = await RawClient.connect(mqttPort, { clientId: 'five', protocolVersion: 5 })
  t.is(five.connack?.properties?.sharedSubscriptionAvailable, false)
  t.deepEqual([...(await five.subscribe(['$share/group/DB', 'DB'], 2)).granted], [0x9e, 2])
  const four = await RawClient.connect(mqttPort)
  t.deepEqual([...(await four.subscribe(['$share/group/DB', 'DB'], 2)).granted], [0x80, 2])
  const asking = RawClient.open(mqttPort)
  const properties = { authenticationMethod: 'SCRAM-SHA-256' }
  t.is((await asking.login({ protocolVersion: 5, properties })).reasonCode, 0x8c)
})

test('the table of guarantees names a test for each', t => {
  const rows = read('README.md')
    .split('\n')
    .filter(line => /^\| G\d \|/.test(line))
  t.deepEqual(
    rows.map(row => row.slice(2, 4)),
    Array.from({ length: 9 }, (_, i) => `G${i + 1}`)
  )
  for (const row of rows) t.regex(row, /`(test|plugins)\/[^`]+`/)
})
