import test from 'ava'
import type { IPublishPacket } from 'mqtt'
import { InboxScene } from '../helpers/client-inbox.ts'

test('delay grows also with a server that sends again without DUP', async t => {
  const scene = new InboxScene({ retry: { minMs: 1, maxMs: 8 } })
  t.teardown(() => scene.inbox.close())
  scene.rejects.add('a')
  scene.receive(1, 'a')
  await scene.until(() => scene.errors.length === 1)
  for (let attempt = 2; attempt <= 4; attempt++) {
    scene.connect(true)
    scene.receive(1, 'a')
    await scene.until(() => scene.errors.length === attempt)
  }
  t.deepEqual(
    scene.errors.map(({ detail }) => detail.attempt),
    [1, 2, 3, 4]
  )
})

test('another message under the packet id of one that is done is handled, not acked away', async t => {
  const scene = new InboxScene()
  let finish = () => {}
  scene.hold = new Promise(resolve => {
    finish = resolve
  })
  scene.receive(1, 'a')
  scene.number = 2 // the connection is gone
  finish()
  await scene.until(() => scene.inbox.size === 1 && scene.lane.runningCount === 0)
  t.deepEqual(scene.acks, [])
  scene.receive(1, 'a') // the same words, but no DUP
  await scene.until(() => scene.acks.length === 1)
  t.deepEqual(scene.runs, ['a', 'a'])
  t.is(scene.inbox.size, 0)
})

test('message in hand is not acked in a session that does not know it', async t => {
  const scene = new InboxScene()
  let finish = () => {}
  scene.hold = new Promise(resolve => {
    finish = resolve
  })
  scene.receive(1, 'a')
  scene.connect(false)
  finish()
  await scene.until(() => scene.inbox.size === 0)
  t.deepEqual(scene.acks, [])
})

test('message that the server does not send again holds nobody up', async t => {
  const scene = new InboxScene()
  scene.rejects.add('a')
  scene.receive(1, 'a')
  scene.receive(2, 'b')
  await scene.until(() => scene.errors.length === 1)
  scene.rejects.delete('a')
  scene.connect(true)
  scene.receive(2, 'b', { dup: true })
  await scene.until(() => scene.acks.length === 1)
  t.deepEqual(scene.runs, ['a', 'a', 'b'])
  scene.connect(true)
  scene.connect(true)
  t.is(scene.inbox.size, 0)
})

test('reading stops when a server without a window sends more than there is room for', async t => {
  const scene = new InboxScene()
  let finish = () => {}
  scene.hold = new Promise(resolve => {
    finish = resolve
  })
  for (let id = 1; id <= 1_000; id++) t.true(scene.receive(id, 'a')())
  const isReadOn = scene.receive(1_001, 'a')
  t.false(isReadOn())
  t.true(scene.receive(0, 'b', { qos: 0 })(), 'QoS 0 is dropped instead')
  finish()
  await scene.until(() => isReadOn())
  await scene.until(() => scene.acks.length === 1_001)
})

test('QoS 2 of a foreign subscription is completed when it was handled, and left open when it was rejected', async t => {
  const scene = new InboxScene()
  scene.rejects.add('a')
  const errors: (Error | undefined)[] = []
  const packet = {
    cmd: 'publish',
    topic: 'DB/CREATE',
    payload: Buffer.from('a'),
    dup: false,
    retain: false,
    qos: 2,
    messageId: 9
  }
  scene.inbox.receive(packet as IPublishPacket, error => errors.push(error))
  await scene.until(() => errors.length === 1)
  t.truthy(errors[0])
  scene.rejects.delete('a')
  scene.connect(true)
  scene.inbox.receive(packet as IPublishPacket, error => errors.push(error))
  await scene.until(() => errors.length === 2)
  t.is(errors[1], undefined)
  t.is(scene.inbox.size, 0)
})
