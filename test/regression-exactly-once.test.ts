import test from 'ava'
import { startCore } from './helpers/core.ts'
import { Gate } from './helpers/gate.ts'
import type { RawClient } from './helpers/raw-client.ts'

const narrow = {
  clientId: 'narrow',
  clean: false,
  protocolVersion: 5,
  expirySeconds: 100,
  receiveMaximum: 1,
  isAcking: false
} as const
const silent = { clientId: 'silent', clean: false, isAcking: false } as const

const shown = (client: RawClient) =>
  client.received.flatMap(packet => (packet.cmd === 'publish' ? [`${packet.topic} ${packet.payload}`] : []))

/** Takes all four steps of QoS 2 with each message that comes, until nothing comes any more. */
async function takeAll(client: RawClient): Promise<void> {
  client.isAcking = true
  for (const packet of client.unreadMessages()) client.ack(packet)
  for (let quiet = 0; quiet < 5; ) {
    const known = client.received.length
    await client.ping()
    quiet = client.received.length === known + 1 ? quiet + 1 : 0
  }
}

// The subscription itself brings what is accepted after it was made: the table must not bring it as well.
test('a retained message that is replaced while a subscriber still takes the others comes once', async t => {
  const { connect } = await startCore(t)
  const publisher = await connect()
  const retain = (topic: string, payload: string) =>
    publisher.publish({ topic, payload, qos: 2, retain: true })
  for (const topic of ['a/1', 'a/2']) await retain(topic, 'old')
  const subscriber = await connect(narrow)
  await subscriber.subscribe('a/#', 2)
  await retain('a/2', 'new')
  await takeAll(subscriber)
  t.deepEqual(shown(subscriber), ['a/1 old', 'a/2 new'])
})

test('a retained message accepted while the subscription is being stored comes once', async t => {
  const { connect, store } = await startCore(t)
  const publisher = await connect()
  const subscriber = await connect(narrow)
  const gate = new Gate()
  const write = store.state.write
  store.state.write = async (changes, options) => {
    await gate.pass()
    await write(changes, options)
  }
  gate.close()
  const subscribed = subscriber.subscribe('a/#', 2)
  await gate.until(1)
  await publisher.publish({ topic: 'a/1', payload: 'new', qos: 2, retain: true })
  gate.open()
  await subscribed
  await takeAll(subscriber)
  t.deepEqual(shown(subscriber), ['a/1 new'])
})

// The receiver holds the packet id until PUBREL, and would take the next message under it for this one.
test('a QoS 2 delivery whose message is gone ends with PUBREL, never in silence', async t => {
  const { connect: connectFirst, core: firstCore, store } = await startCore(t)
  const publisher = await connectFirst()
  await publisher.publish({ topic: 'a', payload: 'old', qos: 2, retain: true })
  await firstCore.settle()
  t.is(store.size, 0)
  const first = await connectFirst(silent)
  await first.subscribe('a', 2)
  const { messageId } = await first.next('publish')
  first.destroy()
  await publisher.publish({ topic: 'a', payload: 'new', qos: 2, retain: true })
  const { connect, core } = await startCore(t, { store: store.crash('process') })
  const again = await connect(silent)
  t.is((await again.next('pubrel')).messageId, messageId)
  t.is(String((await again.next('publish')).payload), 'new')
  again.send({ cmd: 'pubcomp', messageId: messageId! })
  await again.ping()
  t.is(core.directory.session('silent')!.inflight(), 1)
})

test('a message freed after PUBREC is not forgotten when a power cut takes the note of the PUBREC', async t => {
  const first = await startCore(t)
  const subscriber = await first.connect(silent)
  await subscriber.subscribe('a', 2)
  await (await first.connect()).publish({ topic: 'a', payload: '1', qos: 2 })
  const message = await subscriber.next('publish')
  const [afterCheckpoint, beforeNote] = [new Gate(), new Gate()]
  const { checkpoint, append } = first.store.notes
  first.store.notes.checkpoint = async changes => {
    await checkpoint(changes)
    await afterCheckpoint.pass()
  }
  first.store.notes.append = async (note, options) => {
    await beforeNote.pass()
    await append(note, options)
  }
  afterCheckpoint.close()
  beforeNote.close()
  const settled = first.core.settle()
  await afterCheckpoint.until(1)
  subscriber.ack(message)
  await beforeNote.until(1)
  afterCheckpoint.open()
  await settled
  const { connect } = await startCore(t, { store: first.store.crash('machine', 0) })
  const again = await connect(silent)
  const next = await again.next('pubrel')
  t.is(next.messageId, message.messageId)
  beforeNote.open()
})
