import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { temporaryFolder, untilThere } from './helpers/cli-folder.ts'
import { runCommand, startCommand } from './helpers/cli-process.ts'

interface Addresses {
  readonly mqtt: { readonly host: string; readonly port: number }
  readonly http: { readonly host: string; readonly port: number }
  readonly pid: number
}

test('what is published, kept, delivered and shown goes through the command line', async t => {
  const data = join(temporaryFolder(t), 'data')
  const first = await startServer(t, ['--data', data])
  const restante = (...words: string[]) => runCommand(t, words, { env: first.env })
  t.is((await restante('publish', 'DB/CREATE', '{"id":0}')).code, 0)

  const logger = startCommand(t, ['subscribe', 'DB/CREATE', '--id', 'logger', '--count', '1'], {
    env: first.env
  })
  await subscribed(first.env)
  await restante('publish', 'DB/CREATE', '{"id":1}')
  t.like(await logger.outcome, { code: 0, stdout: 'DB/CREATE {"id":1}\n', stderr: '' })

  await restante('publish', 'DB/CREATE', '{"id":2}')
  const { sessions } = JSON.parse((await restante('sessions', '--json')).stdout)
  t.like(sessions, [
    { id: 'logger', connected: false, persistent: true, queues: ['DB'], backlog: 1, inflight: 0 }
  ])
  t.regex((await restante('sessions')).stdout, /^logger +no, \d+ s +offline +DB +1 +1 +0 +\d+ s$/m)
  t.regex((await restante('sessions', 'logger')).stdout, /^DB\/CREATE +1 +\d+ s$/m)
  t.regex((await restante('queues')).stdout, /^DB +CREATE \(3\) +1 +0 +1 +3 +\S+\/s +\d+ s$/m)
  t.regex((await restante('subscriptions')).stdout, /^logger +DB +CREATE +1 +no +\d+ s$/m)
  t.is((await restante('clients')).stdout, 'No client is connected.\n')
  t.like(await restante('sessions', 'nobody'), { code: 1, stdout: '' })
  await first.stop()

  const second = await startServer(t, ['--data', data])
  const words = ['subscribe', 'DB/CREATE', '--id', 'logger', '--count', '1', '--json', '--protocol', '4']
  const { code, stdout } = await runCommand(t, words, { env: second.env })
  t.is(code, 0)
  t.like(JSON.parse(stdout), { queue: 'DB', event: 'CREATE', payload: '{"id":2}', qos: 1 })
  await second.stop()
})

test('clients are shown while they are connected', async t => {
  const server = await startServer(t, ['--store', 'memory'])
  const watcher = startCommand(t, ['subscribe', '+/CREATE', '--id', 'watcher', '--clean'], {
    env: server.env
  })
  await subscribed(server.env)
  const { stdout } = await runCommand(t, ['clients'], { env: server.env })
  t.regex(stdout, /^watcher +127\.0\.0\.1:\d+ +tcp +5\.0 +clean +\+ +\d+ s +\d+ B +\d+ B +0$/m)
  watcher.child.kill('SIGINT')
  t.is((await watcher.outcome).code, 0)
})

test('ready file has the ports that the server really listens on', async t => {
  const server = await startServer(t, ['--store', 'memory'])
  const { mqtt, http, pid } = server.addresses
  t.is(server.run.child.pid, pid)
  for (const { host, port } of [mqtt, http]) {
    t.true(port > 0)
    await new Promise<void>((resolve, reject) => {
      const socket = connect(port, host, () => {
        socket.destroy()
        resolve()
      }).on('error', reject)
    })
  }
  const text = await server.run.output(/Ctrl-C/)
  t.true(text.includes(`mqtt://${mqtt.host}:${mqtt.port}\n`))
  t.true(text.includes(`ws://${http.host}:${http.port}/mqtt\n`))
})

test('SIGTERM ends a server with clients connected with exit code 0', async t => {
  const server = await startServer(t, ['--store', 'memory'])
  const run = startCommand(t, ['subscribe', 'DB/#', '--id', 'logger'], { env: server.env })
  await subscribed(server.env)
  await server.stop()
  run.child.kill('SIGINT')
  t.is((await run.outcome).code, 0)
})

test('a second server on the same data folder is refused, and the first goes on', async t => {
  const data = join(temporaryFolder(t), 'data')
  const first = await startServer(t, ['--data', data])
  const words = [
    'start',
    '--mqtt-port',
    '0',
    '--http-port',
    '0',
    '--data',
    data,
    '--ready-file',
    first.readyFile
  ]
  const { code, stdout, stderr } = await runCommand(t, words)
  t.deepEqual([code, stdout], [1, ''])
  t.regex(stderr, /^restante: the data folder .*data is in use by another server: .*--data\n$/)
  t.true(existsSync(first.readyFile))
  t.is((await runCommand(t, ['publish', 'DB/CREATE', 'x'], { env: first.env })).code, 0)
  await first.stop()
  t.false(existsSync(first.readyFile))
})

test('a port in use is told with the flag that changes it', async t => {
  const { addresses } = await startServer(t, ['--store', 'memory'])
  for (const [flag, other, port] of [
    ['--mqtt-port', '--http-port', addresses.mqtt.port],
    ['--http-port', '--mqtt-port', addresses.http.port]
  ] as const) {
    const words = ['start', '--store', 'memory', flag, String(port), other, '0']
    const { code, stdout, stderr } = await runCommand(t, words)
    t.deepEqual([code, stdout], [1, ''])
    t.regex(stderr, new RegExp(`^restante: 127\\.0\\.0\\.1 port ${port} is in use .* with ${flag}\n$`))
  }
})

test('a host that is not of this machine is told', async t => {
  const { code, stderr } = await runCommand(t, ['start', '--store', 'memory', '--host', '192.0.2.1'])
  t.is(code, 1)
  t.regex(stderr, /^restante: host 192\.0\.2\.1 is no address of this machine: .*--host/)
})

test('a data folder that is a file is told', async t => {
  const file = join(temporaryFolder(t), 'file')
  writeFileSync(file, '')
  for (const data of [file, join(file, 'data')]) {
    const words = ['start', '--mqtt-port', '0', '--http-port', '0', '--data', data]
    const { code, stdout, stderr } = await runCommand(t, words)
    t.deepEqual([code, stdout], [1, ''])
    t.regex(stderr, /^restante: .*file.* is no folder: name another one with --data\n$/)
  }
})

test('a server for the whole network without users warns', async t => {
  const server = await startServer(t, ['--store', 'memory', '--host', '0.0.0.0'])
  t.regex(await server.run.output(/Ctrl-C/), /Warning: it listens on 0\.0\.0\.0 and has no users/)
})

/** Starts a server on free ports; resolves when it is ready. */
async function startServer(t: ExecutionContext, words: readonly string[]) {
  const readyFile = join(temporaryFolder(t), 'ready.json')
  const ports = ['--mqtt-port', '0', '--http-port', '0']
  const run = startCommand(t, ['start', ...ports, '--ready-file', readyFile, ...words])
  const died = run.outcome.then(({ stderr }) =>
    Promise.reject(new Error(`the server did not start: ${stderr}`))
  )
  died.catch(() => {})
  await Promise.race([untilThere(t, readyFile), died])
  const addresses = JSON.parse(readFileSync(readyFile, 'utf8')) as Addresses
  const { mqtt, http } = addresses
  const env = {
    RESTANTE_URL: `mqtt://127.0.0.1:${mqtt.port}`,
    RESTANTE_HTTP_URL: `http://127.0.0.1:${http.port}`
  }
  /** Stops it and asserts that it stopped cleanly. */
  const stop = async (): Promise<void> => {
    run.child.kill('SIGTERM')
    const { code, signal, stdout } = await run.outcome
    t.deepEqual([code, signal], [0, null])
    t.regex(stdout, /Stopped/)
  }
  return { run, readyFile, addresses, env, stop }
}

/** Resolves once some session of the server has a subscription. */
async function subscribed({ RESTANTE_HTTP_URL }: { RESTANTE_HTTP_URL: string }): Promise<void> {
  let count = 0
  while (count === 0) {
    const response = await fetch(`${RESTANTE_HTTP_URL}/v1/subscriptions`)
    const { subscriptions } = (await response.json()) as { subscriptions: unknown[] }
    count = subscriptions.length
  }
}
