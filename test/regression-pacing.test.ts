import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { generate } from 'mqtt-packet'
import { systemClock } from '../src/clock.ts'
import { defaultSettings } from '../src/config/settings.ts'
import { Core } from '../src/core.ts'
import { silentLog } from '../src/log.ts'
import { ModelStore } from './helpers/model-store.ts'
import { RawClient } from './helpers/raw-client.ts'
import { Signal } from './helpers/signal.ts'

const MESSAGE_BYTES = 16 * 1024
const MESSAGES = 1_500

/** A core that listens, with a clock that can be put forward. */
async function listen(t: ExecutionContext) {
  let ahead = 0
  const clock = { ...systemClock, now: () => systemClock.now() + ahead }
  const settings = defaultSettings({ checkpointMs: 3_600_000 })
  const core = await Core.open({ store: new ModelStore(), settings, clock, log: silentLog })
  const server = createServer(
    { allowHalfOpen: true, noDelay: true },
    socket => void core.front.handle(socket)
  )
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const sockets: Socket[] = []
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await core.close()
  })
  const { port } = server.address() as AddressInfo
  const open = async (clientId: string) => {
    const socket = connect(port, '127.0.0.1')
    sockets.push(socket)
    const client = RawClient.open(socket)
    await client.login({ clientId })
    return { socket, client }
  }
  return { core, open, forward: (milliseconds: number) => void (ahead += milliseconds) }
}

test('a burst of QoS 0 is slowed down, not dropped, for a receiver that had nothing to take for a long time', async t => {
  const { core, open, forward } = await listen(t)
  const receiver = await open('receiver')
  await receiver.client.subscribe('a', 0)
  const publisher = await open('publisher')
  forward(60_000)
  const signal = new Signal()
  let received = 0
  receiver.socket.removeAllListeners('data')
  receiver.socket.on('data', (bytes: Buffer) => {
    received += bytes.length
    signal.notify()
  })
  const packet = generate({
    ...{ cmd: 'publish', topic: 'a', payload: Buffer.alloc(MESSAGE_BYTES), qos: 0, retain: false, dup: false }
  })
  publisher.socket.write(Buffer.concat(Array.from({ length: MESSAGES }, () => packet)))
  const dropped = () => core.directory.server().droppedMessages
  await signal.until(() => received + dropped() * packet.length >= MESSAGES * packet.length, {
    describe: () => `${received} bytes, ${dropped()} messages dropped`
  })
  t.is(dropped(), 0)
})
