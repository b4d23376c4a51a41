import test from 'ava'
import { startScene } from './helpers/http-scene.ts'
import { type ServerProcess, startServer } from './helpers/process.ts'
import { RawClient } from './helpers/raw-client.ts'

/** pino's numbers of levels. */
const LEVEL = { info: 30, warn: 40, error: 50 } as const

interface Line {
  readonly level: number
  readonly time: number
  readonly msg: string
  readonly clientId?: string
  readonly address?: string
  readonly code?: string
  readonly reasonCode?: number
}

/** The lines of a server's log about one client. */
function linesOf({ program }: ServerProcess, clientId: string): Line[] {
  const lines = program.stderr.split('\n').slice(0, -1)
  return lines.map(line => JSON.parse(line) as Line).filter(line => line.clientId === clientId)
}

/** The first line about a client with this text. */
function logged(server: ServerProcess, clientId: string, text: string): Promise<Line> {
  const find = () => linesOf(server, clientId).find(({ msg }) => msg.includes(text))
  return server.program.until(find, undefined, `${clientId}: ${text}`)
}

test('connects, disconnects and refusals are logged with client id, address and reason', async t => {
  const server = await startServer(t, { store: 'memory' })
  const { mqttPort, httpPort } = server
  const polite = await RawClient.connect(mqttPort, { clientId: 'polite', clean: false })
  t.like(await logged(server, 'polite', 'client connected'), {
    level: LEVEL.info,
    transport: 'tcp',
    protocolVersion: 4,
    isResumed: false
  })
  await polite.disconnect()
  const goodbye = await logged(server, 'polite', 'client disconnected')
  t.is(goodbye.level, LEVEL.info)
  t.regex(goodbye.address ?? '', /^127\.0\.0\.1:\d+$/)
  t.true(Math.abs(goodbye.time - Date.now()) < 60_000)

  const cut = await RawClient.connect(mqttPort, { clientId: 'cut' })
  cut.destroy()
  t.like(await logged(server, 'cut', 'connection lost'), { level: LEVEL.info })

  const kicked = await RawClient.connect(mqttPort, { clientId: 'kicked', protocolVersion: 5 })
  await fetch(`http://127.0.0.1:${httpPort}/v1/clients/kicked`, { method: 'DELETE' })
  await kicked.closed()
  t.like(await logged(server, 'kicked', 'connection closed'), {
    level: LEVEL.info,
    code: 'QUEUE_DISCONNECTED',
    reasonCode: 0x98
  })

  const rude = await RawClient.connect(mqttPort, { clientId: 'rude' })
  rude.sendBytes(Buffer.from([0x40, 1, 0]))
  await rude.closed()
  t.like(await logged(server, 'rude', 'connection closed'), {
    level: LEVEL.info,
    code: 'QUEUE_PACKET_MALFORMED',
    reasonCode: 0x81
  })

  const will = { topic: '$SYS/x', payload: Buffer.from('x'), qos: 0, retain: false } as const
  await RawClient.open(mqttPort).login({ clientId: 'refused', protocolVersion: 5, will })
  t.like(await logged(server, 'refused', 'connection closed'), {
    level: LEVEL.warn,
    code: 'QUEUE_NOT_AUTHORIZED',
    reasonCode: 0x87
  })

  t.is(linesOf(server, 'polite').length, 2)
  t.is(linesOf(server, 'kicked').length, 2)
  await server.program.kill('SIGTERM')
})

test('a login that the application refuses is logged with its reason code', async t => {
  const scene = await startScene(t)
  scene.server.aedes.authenticate = (_client, _username, _password, done) => done(null, false)
  const client = RawClient.open(scene.server.mqttAddress.port)
  t.is((await client.login({ clientId: 'stranger', protocolVersion: 5 })).reasonCode, 0x87)
  await client.closed()
  const [line, ...others] = scene.log.lines.filter(
    ({ fields }) => 'clientId' in fields && fields.clientId === 'stranger'
  )
  t.like(line, { level: 'warn', text: 'client refused: not let in', fields: { reasonCode: 0x87 } })
  t.deepEqual(others, [])
})
