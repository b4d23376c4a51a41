import { once } from 'node:events'
import { createRequire } from 'node:module'
import { type AddressInfo, createServer } from 'node:net'
import { PassThrough } from 'node:stream'
import type { Aedes } from 'aedes'
import test from 'ava'
import { event } from './helpers/aedes.ts'
import { startAedesServer } from './helpers/aedes-server.ts'
import { RawClient } from './helpers/raw-client.ts'
import { Signal } from './helpers/signal.ts'

/* Plugins of Aedes that others have written, unchanged. Both are CommonJS without declarations. */

const require = createRequire(import.meta.url)

interface Stats {
  maxConnectedClients: number
  connectedClients: number
  publishedMessages: number
}

type Wire = (aedes: Aedes, options: { interval: number }) => void
type Logging = (options: {
  instance: Aedes
  servers: object[]
  stream: PassThrough
  pinoOptions: object
}) => void

test('aedes-stats counts clients and messages, and publishes them under $SYS, retained', async t => {
  const { aedes, connect, publish } = await startAedesServer(t)
  const wire = require('aedes-stats') as Wire
  wire(aedes, { interval: 20 })
  const { stats } = aedes as unknown as { stats: Stats }
  const first = await connect({ clientId: 'first' })
  const second = await connect({ clientId: 'second' })
  const gone = event(aedes, 'clientDisconnect')
  await second.disconnect()
  await gone
  for (const qos of [0, 1, 2] as const) await first.publish({ topic: 'a', payload: 'x', qos })
  await publish({ topic: 'b', qos: 1 })
  t.like(stats, { maxConnectedClients: 2, connectedClients: 1, publishedMessages: 4 })
  const watcher = await connect({ clientId: 'watcher' })
  await watcher.subscribe(`$SYS/${aedes.id}/messages/publish/sent`, 0)
  const message = await watcher.next('publish', ({ retain }) => retain)
  t.regex(String(message.payload), /^\d+$/)
  await watcher.next('publish', ({ retain, payload }) => !retain && String(payload) === '4')
  const other = await connect({ clientId: 'other' })
  await other.subscribe(`$SYS/${aedes.id}/clients/#`, 0)
  await other.next(
    'publish',
    ({ topic, payload }) => topic.endsWith('clients/maximum') && String(payload) === '3'
  )
})

test('aedes-logging writes who connects, subscribes, publishes and leaves', async t => {
  const { aedes, core } = await startAedesServer(t)
  const server = createServer(stream => core.front.handle(stream))
  const lines: { msg: string; client?: { id: string }; [name: string]: unknown }[] = []
  const signal = new Signal()
  const stream = new PassThrough()
  stream.on('data', (bytes: Buffer) => {
    lines.push(
      ...String(bytes)
        .trim()
        .split('\n')
        .map(line => JSON.parse(line) as (typeof lines)[number])
    )
    signal.notify()
  })
  const logging = require('aedes-logging') as Logging
  logging({ instance: aedes, servers: [server], stream, pinoOptions: { level: 'debug' } })
  server.listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = await RawClient.connect(port, { clientId: 'one' })
  await client.subscribe('a')
  await client.publish({ topic: 'a', payload: 'x', qos: 1 })
  await client.unsubscribe('a')
  await client.disconnect()
  const isSaid = (text: string, clientId?: string) =>
    lines.some(({ msg, client: of }) => msg === text && of?.id === clientId)
  const said = () => isSaid('listening') && isSaid('disconnected', 'one')
  await signal.until(said, { describe: () => JSON.stringify(lines) })
  for (const text of ['connected', 'subscribed', 'published', 'unsubscribed', 'disconnected']) {
    t.true(isSaid(text, 'one'), text)
  }
  const published = lines.find(({ msg, client: of }) => msg === 'published' && of?.id === 'one')
  t.like(published, { message: { topic: 'a', qos: 1 } })
})
