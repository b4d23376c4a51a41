import { readFileSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { parse } from 'yaml'
import { loadSettings } from '../src/config/load.ts'
import type { Settings } from '../src/config/settings.ts'
import type { Service } from './docker/compose-run.ts'
import { TOP } from './docker/image-folder.ts'
import { findings } from './docker/linters.ts'
import { Cluster } from './helpers/cluster.ts'
import { type Program, startProgram, startServer, testFolder } from './helpers/process.ts'
import { RawClient } from './helpers/raw-client.ts'
import { needs } from './helpers/tools.ts'

interface ClusterService extends Service {
  readonly image: string
  readonly environment?: Readonly<Record<string, string>>
  readonly stop_grace_period?: string
}

interface Compose {
  readonly services: Readonly<Record<string, ClusterService>>
  readonly volumes: Readonly<Record<string, unknown>>
}

const compose = parse(readFileSync(join(TOP, 'docker/compose.cluster.yaml'), 'utf8'), {
  merge: true
}) as Compose
const BALANCER = readFileSync(join(TOP, 'docker/haproxy.cfg'), 'utf8')
const brokers = Object.entries(compose.services).filter(([, { build }]) => build)

test('brokers of the compose file share a database and a Redis, and have a name and time to end of their own', t => {
  const names: string[] = []
  for (const [name, service] of brokers) {
    const settings = settingsOf(service)
    names.push(settings.brokerName)
    t.is(settings.brokerName, name)
    t.is(service.build?.target, 'server')
    t.like(settings, { store: 'mongodb', data: '/data', host: '0.0.0.0' })
    t.is(serviceOf(settings.mongodbUrl), 'mongodb')
    t.is(serviceOf(settings.redisUrl), 'redis')
    t.deepEqual(settings.allowedHosts, ['load-balancer'])
    for (const other of ['mongodb', 'redis']) {
      t.is(service.depends_on?.[other]?.condition, 'service_healthy', name)
    }
    t.true(Number.parseInt(service.stop_grace_period ?? '', 10) >= 30)
  }
  t.is(names.length, 2)
  t.is(new Set(names).size, 2)
})

test('what the compose file of the cluster names is there, pinned, and open to this machine only', t => {
  for (const [
    name,
    { image, build, ports = [], volumes = [], depends_on = {}, healthcheck }
  ] of Object.entries(compose.services)) {
    if (!build) t.regex(image, /^\w+:\d+\.\d+\.\d+/, name)
    for (const port of ports) t.regex(port, /^127\.0\.0\.1:(\d+):\1$/, name)
    for (const volume of volumes) {
      const [source = ''] = volume.split(':')
      if (source.startsWith('./')) t.notThrows(() => readFileSync(join(TOP, 'docker', source)), volume)
      else t.true(source in compose.volumes, volume)
    }
    for (const other of Object.keys(depends_on)) {
      const isWatched = compose.services[other]?.healthcheck ?? compose.services[other]?.build // an image of ours has its own
      t.truthy(isWatched, `${name} waits until ${other} is well`)
    }
    if (['mongodb', 'redis'].includes(name)) t.is(healthcheck?.test[0], 'CMD')
  }
})

test('haproxy takes its configuration', t => {
  if (!needs(t, 'haproxy')) return
  const { status, text } = findings('haproxy', ['-c', '-f', join(TOP, 'docker/haproxy.cfg')])
  t.is(status, 0, text)
  // only Docker knows the names of the brokers
  const warnings = text
    .split('\n')
    .filter(line => /WARNING|ALERT/.test(line) && !/could not resolve/.test(line))
  t.deepEqual(warnings, [])
})

test('load balancer leads clients to brokers that are ready, and away from one that is not', async t => {
  if (!needs(t, 'haproxy')) return
  const servers = await Promise.all([0, 1].map(() => startServer(t, { store: 'memory' })))
  const [first, second] = servers as [Started, Started]
  const balancer = await startBalancer(t, { 'broker-1': first, 'broker-2': second })
  const clients = []
  for (let i = 0; i < 6; i++) clients.push(await login(balancer.mqtt, `c${i}`))
  t.deepEqual([await connected(first.httpPort), await connected(second.httpPort)].sort(), [3, 3])
  t.is((await server(balancer.http)).connectedClients, 3)

  // its clients are told, and come again to the other one at once
  await first.program.kill('SIGTERM')
  for (let i = 0; i < 6; i++) clients.push(await login(balancer.mqtt, `d${i}`))
  t.true((await connected(second.httpPort)) >= 6)
  for (let i = 0; i < 6; i++) t.is((await server(balancer.http)).connections, await logins(second.httpPort))
  for (const client of clients) client.destroy()
})

test('a client behind the load balancer goes on with its session when its broker is replaced', async t => {
  if (!needs(t, 'haproxy')) return
  const cluster = await Cluster.start(t, { brokers: 2, brokerTimeoutMs: 5_000 })
  if (!cluster) return
  const [first, second] = cluster.brokers
  const balancer = await startBalancer(t, { 'broker-1': first!.server, 'broker-2': second!.server })
  const publisher = await RawClient.connect(balancer.mqtt, { clientId: 'api' })
  const logger = { clientId: 'logger', clean: false, protocolVersion: 5, expirySeconds: 600 } as const
  const old = await RawClient.connect(balancer.mqtt, logger)
  await old.subscribe('DB/#')
  const { broker } = await ask<{ readonly broker: string }>(first!.server.httpPort, '/v1/clients/logger')

  // the publisher is on the other one: connections go where there are the fewest
  await cluster.broker(broker).kill('SIGTERM')
  t.is((await old.next('disconnect')).reasonCode, 0x8b)
  await publisher.publish({ topic: 'DB/CREATE', payload: 'meanwhile', qos: 1 })
  const back = await RawClient.connect(balancer.mqtt, logger)
  t.deepEqual(await back.payloads(1), ['meanwhile'])
  back.destroy()
  publisher.destroy()
})

type Started = Awaited<ReturnType<typeof startServer>>

interface ServerFacts {
  readonly connectedClients: number
  readonly connections: number
}

function settingsOf({ command, environment = {} }: ClusterService): Settings {
  const [start, ...words] = command
  if (start !== 'start') throw new Error(`a broker is started with ${start}`)
  const flags = new Map<string, string>()
  for (let i = 0; i < words.length; i += 2) flags.set(words[i]!.slice(2), words[i + 1]!)
  const { 'allowed-hosts': hosts, ...rest } = Object.fromEntries(flags)
  return loadSettings({ environment, flags: { ...rest, 'allowed-hosts': hosts?.split(',') } }).settings
}

/** The service that an address leads to; it must be one of the compose file. */
function serviceOf(url: string): string | undefined {
  const { hostname } = new URL(url)
  return hostname in compose.services ? hostname : undefined
}

/** haproxy with the configuration of the cluster, on free ports of this machine, in front of servers of this machine. */
async function startBalancer(t: ExecutionContext, servers: Readonly<Record<string, Started>>) {
  const [mqtt, http] = (await freePorts(2)) as [number, number]
  let text = BALANCER.replace('maxconn 10000', 'maxconn 100')
    .replace(/^resolvers[\s\S]*?\n\n/m, '')
    .replace(/ resolvers docker init-addr libc,none/, '')
    .replace('check port 8080', 'check')
    .replace(/stdout format raw local0/, 'stderr format raw local0')
    .replace('bind :1883', `bind 127.0.0.1:${mqtt}`)
    .replace('bind :8080', `bind 127.0.0.1:${http}`)
  for (const [name, { mqttPort, httpPort }] of Object.entries(servers)) {
    text = text
      .replace(`${name}:1883`, `127.0.0.1:${mqttPort} port ${httpPort}`)
      .replace(`${name}:8080`, `127.0.0.1:${httpPort}`)
  }
  const file = join(testFolder(t), 'haproxy.cfg')
  writeFileSync(file, text)
  const program: Program = startProgram(t, 'haproxy', ['-db', '-f', file])
  let isUp = false
  while (!isUp) {
    if (program.exit) throw new Error(program.story())
    isUp = await server(http).then(
      () => true,
      () => false
    )
  }
  return { mqtt, http, program }
}

async function login(port: number, clientId: string): Promise<RawClient> {
  const client = await RawClient.connect(port, { clientId })
  return client
}

async function connected(httpPort: number): Promise<number> {
  return (await server(httpPort)).connectedClients
}

async function logins(httpPort: number): Promise<number> {
  return (await server(httpPort)).connections
}

function server(port: number): Promise<ServerFacts> {
  return ask(port, '/v1/server')
}

/** What is answered to GET, over a connection of its own. */
function ask<Answer>(port: number, path: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { host: 'localhost', connection: 'close' }
    const asked = get({ port, host: '127.0.0.1', path, agent: false, headers }, answer => {
      let text = ''
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      answer.on('end', () => resolve(JSON.parse(text) as Answer))
    })
    asked.on('error', reject)
  })
}

/** Ports that were free just now. */
async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = []
  for (let i = 0; i < count; i++) {
    const server = createServer()
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    servers.push(server)
  }
  const ports = servers.map(server => (server.address() as { port: number }).port)
  await Promise.all(servers.map(server => new Promise<void>(resolve => server.close(() => resolve()))))
  return ports
}
