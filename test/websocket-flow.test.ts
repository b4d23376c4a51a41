import { once } from 'node:events'
import type { Socket } from 'node:net'
import { finished } from 'node:stream/promises'
import { setImmediate } from 'node:timers/promises'
import test from 'ava'
import {
  openSocket,
  openWebSocket,
  roundTrip,
  startMqttUpgrades,
  upgradeLines
} from './helpers/http-server.ts'
import { withDeadline } from './helpers/signal.ts'

const CHUNK_BYTES = 65_536
const CHUNKS = 800 // 50 MiB
/** More than the buffers of two sockets, which the system may make as large as 4 to 6 MiB each. */
const BOUND_BYTES = 25 * 1_048_576

/** Resolves when a number has not changed for many turns of the event loop. */
async function settled(value: () => number): Promise<number> {
  let last = value()
  for (let same = 0; same < 2_000; same++) {
    await setImmediate()
    if (value() !== last) {
      last = value()
      same = 0
    }
  }
  return last
}

test('a server that writes to a client that does not read is held back', async t => {
  const { port, nextStream } = await startMqttUpgrades(t)
  const client = await openWebSocket(t, port)
  const stream = await nextStream()
  client.pause()
  let written = 0
  const writing = (async () => {
    for (let i = 0; i < CHUNKS; i++) {
      const chunk = Buffer.alloc(CHUNK_BYTES)
      chunk.writeUInt32BE(i)
      written += chunk.length
      if (!stream.write(chunk)) await once(stream, 'drain')
    }
  })()
  const heldAt = await settled(() => written)
  t.true(heldAt < BOUND_BYTES, `${heldAt} bytes were taken`)
  t.true(stream.writableLength <= 2 * CHUNK_BYTES)
  t.true(stream.writableNeedDrain)

  let expected = 0
  const all = new Promise<void>(resolve => {
    client.on('message', (data: Buffer) => {
      if (data.length === CHUNK_BYTES && data.readUInt32BE() === expected) expected++
      if (expected === CHUNKS) resolve()
    })
  })
  client.resume()
  await withDeadline(all, { describe: () => `${CHUNKS} frames in order; ${expected} came` })
  await writing
  t.is(stream.writableLength, 0)
})

test('a client that writes to a server that does not read is held back', async t => {
  const { port, nextStream } = await startMqttUpgrades(t)
  const client = await openWebSocket(t, port)
  const stream = await nextStream()
  for (let i = 0; i < CHUNKS; i++) client.send(Buffer.alloc(CHUNK_BYTES, i))
  const waiting = await settled(() => client.bufferedAmount)
  t.true(CHUNKS * CHUNK_BYTES - waiting < BOUND_BYTES, `${waiting} bytes wait at the client`)
  t.true(stream.readableLength <= 4 * CHUNK_BYTES, `${stream.readableLength} bytes wait at the server`)

  let at = 0
  let isInOrder = true
  client.close()
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    for (let i = 0; i < chunk.length; i += CHUNK_BYTES / 2) {
      isInOrder &&= chunk[i] === (Math.floor((at + i) / CHUNK_BYTES) & 255)
    }
    at += chunk.length
  }
  t.is(at, CHUNKS * CHUNK_BYTES)
  t.true(isInOrder)
})

test('destroy cuts the WebSocket at once', async t => {
  const { port, nextStream } = await startMqttUpgrades(t)
  const client = await openWebSocket(t, port)
  const stream = await nextStream()
  const closed = once(client, 'close')
  stream.destroy()
  t.is((await closed)[0], 1006)
})

test('end closes the WebSocket with 1000 after what was written', async t => {
  const { port, nextStream } = await startMqttUpgrades(t, { closeTimeoutMs: 60_000 })
  const client = await openWebSocket(t, port)
  const stream = await nextStream() // nobody reads it
  const closed = once(client, 'close')
  const ended = once(stream, 'close')
  let received = 0
  client.on('message', (data: Buffer) => {
    received += data.length
    client.send(Buffer.alloc(CHUNK_BYTES)) // must not keep the closing handshake from being seen
  })
  for (let i = 0; i < 4; i++) client.send(Buffer.alloc(CHUNK_BYTES))
  await settled(() => stream.readableLength)
  for (let i = 0; i < 20; i++) stream.write(Buffer.alloc(CHUNK_BYTES))
  stream.end()
  t.is((await closed)[0], 1000)
  t.is(received, 20 * CHUNK_BYTES)
  await withDeadline(ended, { describe: () => 'the close of the stream' })
})

test('a client that closes ends the stream', async t => {
  const { port, nextStream } = await startMqttUpgrades(t)
  for (const leave of ['close', 'terminate'] as const) {
    const client = await openWebSocket(t, port)
    const stream = await nextStream()
    const ended = once(stream, 'end')
    stream.resume()
    client[leave]()
    await withDeadline(ended, { describe: () => `the end after ${leave}` })
    await finished(stream).catch(() => {})
    t.true(stream.destroyed, leave)
  }
})

test('a write to a client that is gone fails that stream only', async t => {
  const { port, nextStream } = await startMqttUpgrades(t)
  const client = await openWebSocket(t, port)
  const stream = await nextStream()
  client.close()
  await once(client, 'close')
  const failed = once(stream, 'error')
  stream.write('too late')
  await failed
  t.true(stream.destroyed)
})

test('close says goodbye with 1001, refuses newcomers and resolves', async t => {
  const { http, port, nextStream } = await startMqttUpgrades(t)
  const client = await openWebSocket(t, port)
  const stream = await nextStream()
  stream.resume()
  const late = openSocket(t, port)
  await once(late, 'connect')
  const gone = once(client, 'close')
  late.write('GET / HTTP/1.1\r\nhost: localhost\r\n') // a request has begun: Node lets it end
  await roundTrip(port)
  const closing = http.close()
  t.is((await gone)[0], 1001)
  const head = upgradeLines('/mqtt').slice(2)
  late.write(`${head.join('\r\n')}\r\n\r\n`)
  const answer = await once(late, 'data')
  t.regex(String(answer[0]), /^HTTP\/1\.1 503 /)
  await withDeadline(closing, { describe: () => 'the close' })
  await withDeadline(once(openSocket(t, port), 'error'), { describe: () => 'the refusal of a connection' })
})

test('what is open goes on after stopAccepting', async t => {
  const { http, port, nextStream } = await startMqttUpgrades(t)
  const client = await openWebSocket(t, port)
  const stream = await nextStream()
  http.stopAccepting()
  await withDeadline(once(openSocket(t, port), 'error'), { describe: () => 'the refusal of a connection' })
  const got = once(client, 'message')
  stream.write('an ack')
  t.is(String((await got)[0]), 'an ack')
  const gone = once(client, 'close')
  await withDeadline(http.close(), { describe: () => 'the close' })
  t.is((await gone)[0], 1001)
})

test('close does not wait for a request that never arrives', async t => {
  const clock = { now: () => 0, after: ringAtOnce, every: ringAtOnce }
  const { http, port } = await startMqttUpgrades(t, { clock })
  const slow = openSocket(t, port)
  slow.on('error', () => {})
  slow.write('GET /health/live HTTP/1.1\r\n')
  await roundTrip(port)
  await withDeadline(http.close(), { describe: () => 'the close' })
  t.pass()
})

test('close does not wait for a WebSocket client that never answers', async t => {
  const { http, port, nextStream } = await startMqttUpgrades(t, { closeTimeoutMs: 100 })
  const deaf: Socket = openSocket(t, port)
  deaf.write(`${upgradeLines('/mqtt').join('\r\n')}\r\n\r\n`)
  await nextStream()
  await withDeadline(http.close(), { describe: () => 'the close' })
  t.pass()
})

function ringAtOnce(_ms: number, callback: () => void) {
  void setImmediate().then(callback)
  return { cancel: () => {} }
}
