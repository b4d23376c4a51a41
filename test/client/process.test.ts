import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { nameOf, newClient, openClient, QUICK } from '../helpers/client-scene.ts'
import { startTap } from '../helpers/client-tap.ts'
import { type Program, startProgram, startServer, testFolder } from '../helpers/process.ts'
import { needs } from '../helpers/tools.ts'

test('nothing is lost over kills of the server, in either direction', async t => {
  const server = await startServer(t)
  const tap = await startTap(t, server.mqttPort)
  const logger = await openClient(t, tap.url, { clientId: 'logger' })
  const api = await openClient(t, tap.url, { clientId: 'api' })
  const handled = new Set<number>()
  const order: number[] = []
  await logger.client.on<{ id: number }>('DB', 'CREATE', async ({ payload }) => {
    await new Promise(resolve => setImmediate(resolve))
    if (!handled.has(payload.id)) order.push(payload.id)
    handled.add(payload.id)
    logger.log.note('')
  })
  const count = 600
  let stored = 0
  const publishing = (async () => {
    for (let id = 0; id < count; id += 20) {
      const some = Array.from({ length: 20 }, (_, n) => api.client.publish('DB', 'CREATE', { id: id + n }))
      await Promise.all(some)
      stored = id + 20
      api.log.note('')
    }
  })()
  let running = server
  for (const at of [100, 300]) {
    await api.log.until(() => stored >= at)
    await running.program.kill('SIGKILL')
    running = await startServer(t, { dataDirectory: server.dataDirectory })
    tap.aim(running.mqttPort)
  }
  await publishing
  await logger.log.until(() => handled.size === count, `${handled.size} of ${count} handled`)
  t.deepEqual(
    order,
    Array.from({ length: count }, (_, id) => id)
  )
  t.true(logger.log.connected.slice(1).every(({ isSessionResumed }) => isSessionResumed))
})

test('WebSocket carries all of it', async t => {
  const server = await startServer(t, { store: 'memory' })
  const url = `ws://127.0.0.1:${server.httpPort}/mqtt`
  const { client, log } = await openClient(t, url, { clientId: 'page', keepAliveSeconds: 1 })
  await client.on('DB', 'CREATE', message => {
    log.note(`${nameOf(message)} ${message.attempt}`)
    if (message.attempt === 1) throw new Error('not yet')
  })
  await client.publish('DB', 'CREATE', { id: 1 })
  t.deepEqual(await log.noted(2), ['CREATE 1 1', 'CREATE 1 2'])
  await client.close()
})

test('open waits for a server that is not there yet, and tells', async t => {
  const tap = await startTap(t, 1)
  const { client, log } = newClient(t, tap.url, {
    clientId: 'early',
    openTimeoutMs: Number.POSITIVE_INFINITY
  })
  const opened = client.open()
  await log.until(() => log.disconnected.length >= 2)
  const server = await startServer(t, { store: 'memory' })
  tap.aim(server.mqttPort)
  await opened
  t.is(client.state, 'connected')
})

// ---- another broker

async function startMosquitto(t: ExecutionContext): Promise<{ port: number; program: Program }> {
  const folder = testFolder(t)
  const port = await freePort()
  const config = join(folder, 'mosquitto.conf')
  writeFileSync(config, `listener ${port} 127.0.0.1\nallow_anonymous true\npersistence false\n`)
  const program = startProgram(t, 'mosquitto', ['-v', '-c', config])
  await program.until(() => /mosquitto version .* running/.test(program.stderr + program.stdout))
  return { port, program }
}

/** A port that was free a moment ago: mosquitto cannot choose one. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise(resolve => server.close(resolve))
  return port
}

for (const protocol of [4, 5] as const) {
  test(`mosquitto serves a durable session, version ${protocol}`, async t => {
    if (!needs(t, 'mosquitto')) return
    const { port } = await startMosquitto(t)
    const tap = await startTap(t, port)
    const options = { ...QUICK, protocol, clientId: 'logger' }
    const first = await openClient(t, tap.url, options)
    await first.client.on('DB', '#', () => {})
    await first.client.close()
    const api = await openClient(t, `mqtt://127.0.0.1:${port}`, { protocol })
    await Promise.all(Array.from({ length: 100 }, (_, id) => api.client.publish('DB', 'CREATE', { id })))
    const { client, log } = newClient(t, tap.url, options)
    await client.on('DB', '#', message => {
      log.note(nameOf(message))
      if (nameOf(message) === 'CREATE 50' && message.attempt === 1) throw new Error('not yet')
    })
    await client.open()
    await log.noted(101)
    const expected = Array.from({ length: 100 }, (_, id) => `CREATE ${id}`)
    expected.splice(50, 0, 'CREATE 50')
    t.deepEqual(log.notes, expected)
    await tap.until(() => new Set(tap.sentOf('puback').map(({ messageId }) => messageId)).size >= 20)
    await client.close()
  })
}

test('mosquitto shares messages among the members of a group', async t => {
  if (!needs(t, 'mosquitto')) return
  const { port } = await startMosquitto(t)
  const url = `mqtt://127.0.0.1:${port}`
  const members = await Promise.all(
    [1, 2].map(async n => await openClient(t, url, { clientId: `worker-${n}` }))
  )
  const names = new Map<string, string>()
  const noted = (member: string, name: string) => {
    names.set(name, member)
    members[0]!.log.note(name)
  }
  for (const { client } of members) {
    await client.on('DB', 'CREATE', message => noted(client.clientId, nameOf(message)), { group: 'workers' })
  }
  const api = await openClient(t, url)
  for (let id = 0; id < 10; id++) await api.client.publish('DB', 'CREATE', { id })
  await members[0]!.log.noted(10)
  t.is(names.size, 10)
  t.is(new Set(names.values()).size, 2)
})
