import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import test from 'ava'
import type { RawData, WebSocket } from 'ws'
import { systemCode } from '../src/errors.ts'
import type { Problem } from '../src/http/problem.ts'
import { maskedFrame } from './helpers/http-frame.ts'
import {
  dialWebSocket,
  openSocket,
  openWebSocket,
  rawRequest,
  roundTrip,
  startHttp,
  startMqttUpgrades,
  upgradeLines
} from './helpers/http-server.ts'
import { withDeadline } from './helpers/signal.ts'

/** The next frames of a client, each as it came. */
function frames(socket: WebSocket, count: number): Promise<Buffer[]> {
  const got: Buffer[] = []
  const all = new Promise<Buffer[]>(resolve => {
    socket.on('message', (data: RawData) => {
      got.push(data as Buffer)
      if (got.length === count) resolve(got)
    })
  })
  return withDeadline(all, { describe: () => `${count} frames; ${got.length} came` })
}

async function closeCode(socket: WebSocket): Promise<number> {
  const [code] = await withDeadline(once(socket, 'close'), { describe: () => 'the close of a WebSocket' })
  return code as number
}

test('a WebSocket on /mqtt carries bytes both ways', async t => {
  const { port, nextStream } = await startMqttUpgrades(t)
  const client = await openWebSocket(t, port, { protocols: ['other', 'mqtt', 'mqttv3.1'] })
  const stream = await nextStream()
  t.is(client.protocol, 'mqtt')
  t.is(client.extensions, '')
  t.is(stream.remoteAddress, '127.0.0.1')
  t.true(stream.remotePort! > 0)
  client.send(Buffer.from('up'))
  const [chunk] = await once(stream, 'data')
  t.is(String(chunk), 'up')
  const got = frames(client, 1)
  stream.write('down')
  t.deepEqual((await got).map(String), ['down'])
})

test('MQTT 3.1 gets its own subprotocol back', async t => {
  const { port } = await startMqttUpgrades(t)
  const client = await openWebSocket(t, port, { protocols: ['mqttv3.1'] })
  t.is(client.protocol, 'mqttv3.1')
})

test('what one call writes goes out as one binary frame', async t => {
  const { port, nextStream } = await startMqttUpgrades(t)
  const client = await openWebSocket(t, port)
  const stream = await nextStream()
  const sizes = [1, 125, 126, 65_535, 65_536, 300_000, 2]
  const got = frames(client, sizes.length)
  let isBinary = true
  client.on('message', (_, binary) => {
    isBinary &&= binary
  })
  stream.cork() // so that several writes wait together
  for (const [index, size] of sizes.entries()) stream.write(Buffer.alloc(size, index))
  stream.uncork()
  const received = await got
  t.deepEqual(
    received.map(frame => frame.length),
    sizes
  )
  t.true(received.every((frame, index) => frame.every(byte => byte === index)))
  t.true(isBinary)
})

test('frames may be cut anywhere', async t => {
  const { port, nextStream } = await startMqttUpgrades(t)
  const client = openSocket(t, port)
  client.setNoDelay(true)
  client.resume()
  client.write(`${upgradeLines('/mqtt').join('\r\n')}\r\n\r\n`)
  const stream = await nextStream()
  const all = text(stream)
  const bytes = Buffer.concat([
    maskedFrame({ opcode: 2, isFinal: false, payload: 'one ' }),
    maskedFrame({ opcode: 9, isFinal: true, payload: 'ping between fragments' }),
    maskedFrame({ opcode: 0, isFinal: false, payload: '' }),
    maskedFrame({ opcode: 0, isFinal: true, payload: 'two ' }),
    maskedFrame({ opcode: 2, isFinal: true, payload: 'three' }),
    maskedFrame({ opcode: 8, isFinal: true, payload: '\x03\xe8' })
  ])
  for (const byte of bytes) {
    await new Promise(resolve => client.write(Buffer.of(byte), resolve))
  }
  t.is(await withDeadline(all, { describe: () => 'the end of the stream' }), 'one two three')
})

test('a text frame closes the WebSocket with 1003 and fails the stream', async t => {
  const { port, nextStream } = await startMqttUpgrades(t)
  const client = await openWebSocket(t, port)
  const stream = await nextStream()
  const received: unknown[] = []
  stream.on('data', chunk => received.push(chunk))
  const failed = once(stream, 'error')
  client.send('text')
  client.send(Buffer.alloc(2_000_000)) // too late, and not in the way of the close
  t.is(await closeCode(client), 1003)
  const [error] = await failed
  t.is(systemCode(error), 'QUEUE_PROTOCOL_ERROR')
  t.deepEqual(received, [])
})

test('a client that sent a text frame may answer the close before the connection ends', async t => {
  const { port, nextStream } = await startMqttUpgrades(t, { closeTimeoutMs: 60_000 })
  const client = openSocket(t, port)
  client.write(`${upgradeLines('/mqtt').join('\r\n')}\r\n\r\n`)
  const stream = await nextStream()
  await once(client, 'data') // the answer to the upgrade
  const failed = once(stream, 'error')
  client.write(maskedFrame({ opcode: 1, isFinal: true, payload: 'text' }))
  const [close] = await once(client, 'data')
  t.deepEqual([close[0], close.readUInt16BE(2)], [0x88, 1003])
  await failed
  await roundTrip(port)
  t.false(client.readableEnded)
  client.write(maskedFrame({ opcode: 8, isFinal: true, payload: '\x03\xeb' }))
  await withDeadline(once(client, 'end'), { describe: () => 'the end of the connection' })
})

test('a message above the limit closes the WebSocket with 1009', async t => {
  const { port, nextStream } = await startMqttUpgrades(t, { maxMessageBytes: 1_000 })
  const client = await openWebSocket(t, port)
  const stream = await nextStream()
  const first = once(stream, 'data')
  client.send(Buffer.alloc(1_000))
  t.is((await first)[0].length, 1_000)
  const failed = once(stream, 'error')
  client.send(Buffer.alloc(1_001))
  t.is(await closeCode(client), 1009)
  await failed
  t.true(stream.destroyed)
})

test('an upgrade that is not for MQTT is refused with problem details', async t => {
  const { port } = await startHttp(t, { onMqtt: () => t.fail('it was taken') })
  const cases = [
    ['/', {}, 404, 'QUEUE_NOT_FOUND'],
    ['/mqtt/', {}, 404, 'QUEUE_NOT_FOUND'],
    ['/v1/clients?path=/mqtt', {}, 404, 'QUEUE_NOT_FOUND'],
    ['/mqtt', { 'sec-websocket-protocol': null }, 400, 'QUEUE_REQUEST_INVALID'],
    ['/mqtt', { 'sec-websocket-protocol': 'MQTT, amqp' }, 400, 'QUEUE_REQUEST_INVALID'],
    ['/mqtt', { origin: 'http://evil.example' }, 403, 'QUEUE_ORIGIN_REFUSED'],
    ['/mqtt', { origin: 'null' }, 403, 'QUEUE_ORIGIN_REFUSED'],
    ['/mqtt', { host: 'evil.example', origin: 'http://evil.example' }, 421, 'QUEUE_HOST_REFUSED'],
    ['/mqtt', { 'sec-websocket-key': 'short' }, 400, 'QUEUE_REQUEST_INVALID'],
    ['/mqtt', { 'sec-websocket-version': '7' }, 400, 'QUEUE_REQUEST_INVALID']
  ] as const
  for (const [path, headers, status, code] of cases) {
    const answer = await rawRequest(port, upgradeLines(path, headers))
    const name = `${path} ${JSON.stringify(headers)}`
    t.is(answer.status, status, name)
    t.is(answer.headers.get('content-type'), 'application/problem+json', name)
    t.is(Number(answer.headers.get('content-length')), Buffer.byteLength(answer.body), name)
    t.like(JSON.parse(answer.body) as Problem, { status, code, instance: path.split('?')[0] }, name)
  }
})

test('a page of the own origin, or of an allowed one, may open a WebSocket', async t => {
  const { port, nextStream } = await startMqttUpgrades(t, { allowedOrigins: ['https://app.example'] })
  for (const origin of [`http://127.0.0.1:${port}`, 'https://app.example']) {
    await openWebSocket(t, port, { origin })
    await t.notThrowsAsync(nextStream(), origin)
  }
})

test('an onMqtt that throws costs its own connection only', async t => {
  let count = 0
  const { port } = await startHttp(t, {
    onMqtt: stream => {
      if (count++ === 0) throw new Error('no')
      stream.write('hello')
    }
  })
  t.is(await closeCode(dialWebSocket(t, port)), 1006)
  t.deepEqual((await frames(dialWebSocket(t, port), 1)).map(String), ['hello'])
})
