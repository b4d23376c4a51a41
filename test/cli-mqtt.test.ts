import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import type { IConnectPacket, IPublishPacket, ISubscribePacket } from 'mqtt-packet'
import type { Arguments } from '../src/commands/command.ts'
import { describeFailure } from '../src/commands/failure.ts'
import { publishCommand } from '../src/commands/publish.ts'
import { type FakeAnswers, type FakeBroker, startFakeBroker } from './helpers/cli-fake-broker.ts'
import { temporaryFolder } from './helpers/cli-folder.ts'
import { runCommand, startCommand } from './helpers/cli-process.ts'
import { startServer } from './helpers/process.ts'

const MESSAGES = [1, 2, 3].map(id => ({ topic: 'DB/CREATE', payload: `{"id":${id}}` }))

test('publish sends the payload at QoS 1 and prints a line after the ack', async t => {
  const broker = await startFakeBroker(t)
  const { code, stdout, stderr } = await runCommand(t, [
    'publish',
    'DB/CREATE',
    '{"id":1}',
    '--url',
    broker.url
  ])
  t.deepEqual([code, stdout, stderr], [0, 'published DB/CREATE (8 bytes), acked\n', ''])
  const { topic, payload, qos, retain } = sent(broker, 'publish') as IPublishPacket
  t.deepEqual([topic, String(payload), qos, retain], ['DB/CREATE', '{"id":1}', 1, false])
  const { clean, protocolVersion } = sent(broker, 'connect') as IConnectPacket
  t.deepEqual([clean, protocolVersion], [true, 5])
  t.is(broker.received.at(-1)?.cmd, 'disconnect')
})

test('publish takes its server from the environment and prints JSON', async t => {
  const broker = await startFakeBroker(t)
  const words = ['publish', 'DB/CREATE', '"text"', '--json', '--protocol', '4']
  const { code, stdout } = await runCommand(t, words, { env: { RESTANTE_URL: broker.url } })
  t.is(code, 0)
  t.deepEqual(JSON.parse(stdout), {
    topic: 'DB/CREATE',
    queue: 'DB',
    event: 'CREATE',
    bytes: 6,
    qos: 1,
    reasonCode: 0
  })
  t.is((sent(broker, 'connect') as IConnectPacket).protocolVersion, 4)
  t.is(String((sent(broker, 'publish') as IPublishPacket).payload), '"text"')
})

const bytes = Buffer.from([0, 255, 10, 128])
for (const [title, words] of [
  ['from stdin when there is none on the command line', []],
  ['from stdin when it is a dash', ['-']]
] as const) {
  test(`publish reads the payload ${title}`, async t => {
    const broker = await startFakeBroker(t)
    const { code } = await runCommand(t, ['publish', 'DB/CREATE', ...words, '--url', broker.url], {
      stdin: bytes
    })
    t.is(code, 0)
    t.deepEqual((sent(broker, 'publish') as IPublishPacket).payload, bytes)
  })
}

test('publish reads the payload from a file', async t => {
  const broker = await startFakeBroker(t)
  const file = join(temporaryFolder(t), 'payload')
  writeFileSync(file, bytes)
  t.is((await runCommand(t, ['publish', 'DB/CREATE', '--file', file, '--url', broker.url])).code, 0)
  t.deepEqual((sent(broker, 'publish') as IPublishPacket).payload, bytes)
})

test('publish takes payloads that look like something else as they are', async t => {
  for (const [words, payload] of [
    [['042'], '042'],
    [[''], ''],
    [['--', '-5'], '-5'],
    [['true'], 'true']
  ] as const) {
    const broker = await startFakeBroker(t)
    t.is((await runCommand(t, ['publish', '--url', broker.url, 'DB/CREATE', ...words])).code, 0)
    t.is(String((sent(broker, 'publish') as IPublishPacket).payload), payload)
  }
})

test('publish at QoS 0 says that there is no ack', async t => {
  const broker = await startFakeBroker(t)
  const { code, stdout } = await runCommand(t, [
    'publish',
    'DB/CREATE',
    'x',
    '--qos',
    '0',
    '--url',
    broker.url
  ])
  t.deepEqual([code, stdout], [0, 'sent DB/CREATE (1 byte, QoS 0: no ack)\n'])
  t.is((sent(broker, 'publish') as IPublishPacket).qos, 0)
})

const REFUSED: readonly (readonly [string, FakeAnswers, Arguments, RegExp])[] = [
  [
    'a refused publish',
    { publish: { reasonCode: 0x97, reasonString: 'the store is full' } },
    {},
    /^DB\/CREATE was not published: 0x97 Quota exceeded \(the store is full\)$/
  ],
  [
    'a refused connection',
    { connect: { reasonCode: 0x87, reasonString: 'who are you?' } },
    {},
    /^mqtt:\/\/127\.0\.0\.1:\d+ refused the connection: 0x87 Not authorized \(who are you\?\)$/
  ],
  [
    'a refused connection of 3.1.1',
    { connect: { reasonCode: 5 } },
    { protocol: '4' },
    /refused the connection: 0x05 Not authorized$/
  ],
  ['a connection closed at once', { connect: 'close' }, {}, /closed the connection: is it an MQTT server\?$/],
  ['no answer to the connection', { connect: 'silence' }, { 'timeout-ms': '50' }, /did not answer in time/],
  [
    'a connection closed before the ack',
    { publish: 'close' },
    { protocol: '4' },
    /not published: .*before the ack \(with --protocol 5 it can say why\)$/
  ],
  [
    'a disconnect before the ack',
    { publish: { disconnect: 0x95 } },
    {},
    /the server closed the connection: 0x95 Packet too large$/
  ],
  ['no ack', { publish: 'silence' }, { 'timeout-ms': '1000' }, /not published: no ack within 1000 ms$/]
]

for (const [title, answers, args, line] of REFUSED) {
  test(`publish fails with one line for ${title}`, async t => {
    const { url } = await startFakeBroker(t, answers)
    const error = await t.throwsAsync(publishCommand.run({ topic: 'DB/CREATE', payload: 'x', url, ...args }))
    const { lines, exitCode } = describeFailure(error)
    t.is(exitCode, 1)
    t.is(lines.length, 1)
    t.regex(lines[0] ?? '', line)
  })
}

test('a failed publish is one line on stderr and exit code 1', async t => {
  const broker = await startFakeBroker(t, { publish: { reasonCode: 0x87 } })
  const outcome = await runCommand(t, ['publish', 'DB/CREATE', 'x', '--url', broker.url])
  const stderr = 'restante: DB/CREATE was not published: 0x87 Not authorized\n'
  t.deepEqual(outcome, { code: 1, signal: null, stdout: '', stderr })
})

test('a server that is not there is told with the way to start one', async t => {
  const broker = await startFakeBroker(t)
  const url = new URL(broker.url)
  for (const words of [
    ['publish', 'DB/CREATE', 'x'],
    ['subscribe', 'DB/CREATE']
  ]) {
    const { code, stderr } = await runCommand(t, [...words, '--url', `mqtt://u:secret@127.0.0.2:${url.port}`])
    t.is(code, 1)
    t.regex(
      stderr,
      /^restante: nothing listens at mqtt:\/\/u:\*\*\*@127\.0\.0\.2:\d+: start a server with "restante start"/
    )
  }
})

test('subscribe prints each message and acks it, and ends cleanly after the last of --count', async t => {
  const broker = await startFakeBroker(t, { messages: MESSAGES })
  const words = ['subscribe', 'DB/CREATE', 'DB/#', '--count', '2', '--url', broker.url]
  const { code, stdout, stderr } = await runCommand(t, words)
  t.deepEqual([code, stdout, stderr], [0, 'DB/CREATE {"id":1}\nDB/CREATE {"id":2}\n', ''])
  const acked = broker.received.flatMap(packet => (packet.cmd === 'puback' ? [packet.messageId] : []))
  t.deepEqual(acked, [1, 2])
  t.is(broker.received.at(-1)?.cmd, 'disconnect')
  const { subscriptions } = sent(broker, 'subscribe') as ISubscribePacket
  t.deepEqual(
    subscriptions.map(({ topic, qos }) => [topic, qos]),
    [
      ['DB/CREATE', 1],
      ['DB/#', 1]
    ]
  )
  const { clean, properties } = sent(broker, 'connect') as IConnectPacket
  t.deepEqual([clean, properties?.sessionExpiryInterval, properties?.receiveMaximum], [true, undefined, 2])
})

test('subscribe with an id asks for a session that never expires', async t => {
  const broker = await startFakeBroker(t, { messages: MESSAGES })
  const words = ['subscribe', 'DB/CREATE', '--id', 'logger', '--count', '1', '--json', '--url', broker.url]
  const { code, stdout } = await runCommand(t, words)
  t.is(code, 0)
  t.is((JSON.parse(stdout) as { payload: string }).payload, '{"id":1}')
  const { clean, clientId, properties } = sent(broker, 'connect') as IConnectPacket
  t.deepEqual([clean, clientId, properties?.sessionExpiryInterval], [false, 'logger', 0xffffffff])
})

for (const [protocol, isClean] of [
  ['4', true],
  ['5', true]
] as const) {
  test(`subscribe with an id and --clean keeps no session on protocol ${protocol}`, async t => {
    const broker = await startFakeBroker(t, { messages: MESSAGES })
    const words = [
      'subscribe',
      'a',
      '--id',
      'x',
      '--clean',
      '--count',
      '1',
      '--url',
      broker.url,
      '--protocol',
      protocol
    ]
    t.is((await runCommand(t, words)).code, 0)
    const { clean, clientId, properties } = sent(broker, 'connect') as IConnectPacket
    t.deepEqual([clean, clientId, properties?.sessionExpiryInterval], [isClean, 'x', undefined])
  })
}

test('subscribe disconnects cleanly on Ctrl-C', async t => {
  const broker = await startFakeBroker(t, { messages: MESSAGES })
  const run = startCommand(t, ['subscribe', 'DB/CREATE', '--id', 'logger', '--url', broker.url])
  await broker.receives('puback', 3)
  run.child.kill('SIGINT')
  const { code, signal } = await run.outcome
  t.deepEqual([code, signal], [0, null])
  t.is(broker.received.at(-1)?.cmd, 'disconnect')
})

test('subscribe connects again when the connection is lost, and says so', async t => {
  const broker = await startFakeBroker(t)
  const run = startCommand(t, ['subscribe', 'DB/CREATE', '--id', 'logger', '--url', broker.url])
  await broker.receives('subscribe')
  broker.drop()
  await broker.receives('connect', 2)
  run.child.kill('SIGTERM')
  const { code, stderr } = await run.outcome
  t.is(code, 0)
  t.regex(stderr, /^the connection to mqtt:\/\/127\.0\.0\.1:\d+ is lost; trying again\n/)
})

test('subscribe ends while it has no connection', async t => {
  const broker = await startFakeBroker(t)
  const run = startCommand(t, ['subscribe', 'DB/CREATE', '--url', broker.url])
  await broker.receives('subscribe')
  const lost = new Promise(resolve => run.child.stderr?.once('data', resolve))
  broker.drop()
  await lost
  run.child.kill('SIGINT')
  t.is((await run.outcome).code, 0)
})

test('subscribe gives up when another client takes over its session', async t => {
  const broker = await startFakeBroker(t, { subscribe: { disconnect: 0x8e } })
  const { code, stderr } = await runCommand(t, [
    'subscribe',
    'DB/CREATE',
    '--id',
    'logger',
    '--url',
    broker.url
  ])
  t.is(code, 1)
  t.regex(stderr, /^restante: mqtt:.* closed the connection: 0x8e Session taken over\n$/)
})

test('subscribe fails when a filter is refused', async t => {
  const broker = await startFakeBroker(t, { subscribe: { reasonCode: 0x87 } })
  const { code, stderr } = await runCommand(t, ['subscribe', 'DB/CREATE', '--url', broker.url])
  t.deepEqual([code, stderr], [1, 'restante: DB/CREATE was refused: 0x87 Not authorized\n'])
})

test('subscribe does not ack what it could not print', async t => {
  const payload = 'x'.repeat(100_000)
  const broker = await startFakeBroker(t, {
    messages: Array.from({ length: 20 }, () => ({ topic: 'a', payload }))
  })
  const run = startCommand(t, ['subscribe', 'a', '--url', broker.url])
  run.child.stdout?.once('data', () => run.child.stdout?.destroy())
  const { code, stderr } = await run.outcome
  t.is(code, 1)
  t.regex(stderr, /^restante: stdout was closed: what comes from here on stays unacked\n$/)
  t.true(broker.received.filter(packet => packet.cmd === 'puback').length < 20)
})

function sent(broker: FakeBroker, cmd: string) {
  return broker.received.find(packet => packet.cmd === cmd)
}

test('publish with QoS 2 and --retain leaves the message for a later subscriber of a real server', async t => {
  const { mqttPort } = await startServer(t, { store: 'memory' })
  const url = `mqtt://127.0.0.1:${mqttPort}`
  const words = ['publish', 'DB/STATE', 'on', '--qos', '2', '--retain', '--url', url]
  const { code, stdout } = await runCommand(t, words)
  t.deepEqual([code, stdout], [0, 'published DB/STATE (2 bytes), acked\n'])
  const late = await runCommand(t, ['subscribe', 'DB/#', '--count', '1', '--json', '--url', url])
  t.like(JSON.parse(late.stdout), { topic: 'DB/STATE', payload: 'on', retain: true, qos: 1 })
})
