import test, { type ExecutionContext } from 'ava'
import type { Plugin } from '../../src/plugin.ts'
import { QueueError } from '../../src/plugin.ts'
import { type Answer, type HttpScene, startScene } from '../../test/helpers/http-scene.ts'
import type { RawClient } from '../../test/helpers/raw-client.ts'

/** A listener to everything, with MQTT 5. */
async function listen(scene: HttpScene, filter = '#'): Promise<RawClient> {
  const client = await scene.connect({ protocolVersion: 5, clientId: 'listener' })
  await client.subscribe(filter, 2)
  return client
}

function isProblem(t: ExecutionContext, answer: Answer, status: number, code: string, text = ''): void {
  t.is(answer.status, status, answer.text)
  t.is(answer.headers.get('content-type'), 'application/problem+json')
  t.is(answer.body.code, code, answer.text)
  t.true(String(answer.body.detail).includes(text), answer.text)
}

/** A server of the application decides who may publish. */
function gate(authorizePublish: (topic: string) => void | Promise<void>): Plugin {
  return {
    name: 'gate',
    schema: { type: 'object' },
    setup: () => ({ gates: { authorizePublish: (_asking, { topic }) => authorizePublish(topic) } })
  }
}

test('an event is answered with 201, its id and its place when the store has it', async t => {
  const scene = await startScene(t)
  const listener = await listen(scene)
  const answer = await scene.post('/v1/queues/DB/events/CREATE', '{"id":1}')
  t.is(answer.status, 201)
  t.deepEqual(answer.body, { id: 'model:1', topic: 'DB/CREATE', queue: 'DB', event: 'CREATE' })
  t.is(answer.headers.get('location'), '/v1/messages/model:1')
  t.is(scene.store.size, 1)
  const [message] = await listener.messages(1)
  t.like(message, { topic: 'DB/CREATE', qos: 1, retain: false })
  t.is(message!.payload.toString(), '{"id":1}')
})

test('the rest of the path is the event, with slashes, percent-encoding, or nothing', async t => {
  const scene = await startScene(t)
  const cases = [
    ['/v1/queues/DB/events/CREATE/users', 'DB/CREATE/users'],
    ['/v1/queues/DB/events/CREATE%2Fusers', 'DB/CREATE/users'],
    ['/v1/queues/DB/events//a//', 'DB//a//'],
    ['/v1/queues/%C3%BC%20%25/events/%E2%98%83%3F', 'ü %/☃?'],
    ['/v1/queues/DB/events/', 'DB'],
    ['/v1/queues/DB/events', 'DB'],
    [`/v1/queues/DB/events/${'x'.repeat(60_000)}`, `DB/${'x'.repeat(60_000)}`],
    ['/v1/publish?topic=%2Fa+b%2F..', '/a b/..']
  ] as const
  for (const [path, topic] of cases) {
    const answer = await scene.post(path)
    t.is(answer.status, 201, answer.text.slice(0, 200))
    t.is(answer.body.topic, topic)
    t.is(answer.body.id, `model:${scene.store.size}`)
  }
})

test('a payload of any media type arrives byte for byte, with its content type', async t => {
  const scene = await startScene(t)
  const listener = await listen(scene)
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
  for (const type of [
    'application/octet-stream',
    'application/json',
    'text/plain; charset=utf-8',
    'image/png'
  ]) {
    t.is((await scene.post('/v1/queues/DB/events/CREATE', bytes, { 'content-type': type })).status, 201)
    const [message] = await listener.messages(1)
    t.deepEqual(message!.payload, bytes)
    t.is(message!.properties?.contentType, type)
  }
  t.is((await scene.post('/v1/queues/DB/events/CREATE', bytes)).status, 201)
  t.is((await scene.post('/v1/queues/DB/events/CREATE')).status, 201)
  const [untyped, empty] = await listener.messages(2)
  t.deepEqual(untyped!.payload, bytes)
  t.is(untyped!.properties?.contentType, undefined)
  t.is(empty!.payload.length, 0)
})

test('properties of the query go with the message', async t => {
  const scene = await startScene(t)
  const listener = await listen(scene)
  const query = new URLSearchParams([
    ['qos', '2'],
    ['expirySeconds', '60'],
    ['responseTopic', 'answers/1'],
    ['correlationData', 'ü-7'],
    ['payloadFormat', 'utf8'],
    ['userProperty', 'trace=a=b'],
    ['userProperty', 'tag=x'],
    ['userProperty', 'tag='],
    ['userProperty', '__proto__=1']
  ])
  t.is((await scene.post(`/v1/publish?topic=DB&${query}`, 'ü')).status, 201)
  const [message] = await listener.messages(1)
  t.is(message!.qos, 2)
  const { userProperties, ...properties } = message!.properties!
  t.deepEqual(properties, {
    contentType: 'text/plain;charset=UTF-8',
    messageExpiryInterval: 60,
    responseTopic: 'answers/1',
    correlationData: Buffer.from('ü-7'),
    payloadFormatIndicator: true
  })
  const names = Object.entries(userProperties!).map(([name, value]) => [name, value])
  t.deepEqual(names, [
    ['trace', 'a=b'],
    ['tag', ['x', '']],
    ['__proto__', '1']
  ])
  for (const text of ['/+8=', '_-8']) {
    await scene.post(`/v1/publish?topic=DB&correlationDataBase64=${encodeURIComponent(text)}`)
    t.deepEqual((await listener.messages(1))[0]!.properties?.correlationData, Buffer.from([255, 239]))
  }
})

test('a retained message is there for who subscribes later, until one without payload', async t => {
  const scene = await startScene(t)
  t.like(await scene.post('/v1/queues/DB/events/STATE?retain=true&qos=0', 'up'), { status: 201 })
  const first = await listen(scene, 'DB/STATE')
  t.like((await first.messages(1))[0], { retain: true, payload: Buffer.from('up') })
  await scene.post('/v1/queues/DB/events/STATE?retain=true')
  const later = await scene.connect({ clientId: 'later' })
  await later.subscribe('DB/STATE')
  await later.ping()
  t.is(later.unreadMessages().length, 0)
})

test('QoS 0 is answered with 202 and no id', async t => {
  const scene = await startScene(t)
  const listener = await listen(scene)
  const answer = await scene.post('/v1/queues/DB/events/CREATE?qos=0', 'now')
  t.is(answer.status, 202)
  t.deepEqual(answer.body, { id: null, topic: 'DB/CREATE', queue: 'DB', event: 'CREATE' })
  t.is(answer.headers.get('location'), null)
  t.is((await listener.messages(1))[0]!.qos, 0)
  t.is(scene.store.size, 0)
})

test('a request that is not right is refused, and says what is wrong', async t => {
  const scene = await startScene(t)
  const event = '/v1/queues/DB/events/CREATE'
  const cases = [
    ['/v1/publish', 'QUEUE_REQUEST_INVALID', 'topic is missing'],
    ['/v1/publish?topic=', 'QUEUE_REQUEST_INVALID', 'topic'],
    ['/v1/publish?topic=a%2F%23', 'QUEUE_TOPIC_INVALID', 'wildcard'],
    ['/v1/queues/DB/events/%2B', 'QUEUE_TOPIC_INVALID', 'wildcard'],
    ['/v1/queues/DB/events/%00', 'QUEUE_TOPIC_INVALID', 'U+0000'],
    [`/v1/queues/DB/events/${'x'.repeat(65_535)}`, 'QUEUE_TOPIC_INVALID', '65,535'],
    ['/v1/queues/a%2Fb/events/CREATE', 'QUEUE_REQUEST_INVALID', 'slash'],
    ['/v1/publish?topic=%ff', 'QUEUE_REQUEST_INVALID', 'UTF-8'],
    [`${event}?qos=3`, 'QUEUE_REQUEST_INVALID', '0, 1, 2'],
    [`${event}?retin=true`, 'QUEUE_REQUEST_INVALID', '"retin" is not known; known are qos, retain'],
    [`${event}?retain=yes`, 'QUEUE_REQUEST_INVALID', 'boolean'],
    [`${event}?expirySeconds=0`, 'QUEUE_REQUEST_INVALID', '>= 1'],
    [`${event}?expirySeconds=4294967296`, 'QUEUE_REQUEST_INVALID', '<= 4294967295'],
    [`${event}?responseTopic=a%2F%23`, 'QUEUE_REQUEST_INVALID', 'responseTopic has a wildcard'],
    [`${event}?userProperty=a`, 'QUEUE_REQUEST_INVALID', 'userProperty'],
    [`${event}?userProperty=a=%00`, 'QUEUE_REQUEST_INVALID', 'U+0000'],
    [`${event}?userProperty=a=${'x'.repeat(65_536)}`, 'QUEUE_REQUEST_INVALID', '65,535'],
    [`${event}?correlationDataBase64=abcde`, 'QUEUE_REQUEST_INVALID', 'base64'],
    [`${event}?correlationData=a&correlationDataBase64=YQ`, 'QUEUE_REQUEST_INVALID', 'not both']
  ] as const
  for (const [path, code, text] of cases) isProblem(t, await scene.post(path, 'x'), 400, code, text)
  const noText = await scene.post(`${event}?payloadFormat=utf8`, Buffer.from([255]))
  isProblem(t, noText, 400, 'QUEUE_PAYLOAD_FORMAT_INVALID')
  const packed = await scene.post(event, 'x', { 'content-encoding': 'gzip' })
  isProblem(t, packed, 415, 'QUEUE_MEDIA_TYPE_UNSUPPORTED', 'gzip')
  t.is(scene.store.size, 0)
})

test('a topic of the server and one that a gate refuses are answered with 403', async t => {
  const scene = await startScene(t, {
    plugins: [
      gate(topic => {
        if (topic === 'DB/SECRET') {
          throw new QueueError('QUEUE_NOT_AUTHORIZED', { detail: { problem: 'SECRET is closed' } })
        }
      })
    ]
  })
  isProblem(t, await scene.post('/v1/publish?topic=%24SYS%2Fx'), 403, 'QUEUE_NOT_AUTHORIZED', '$')
  isProblem(t, await scene.post('/v1/queues/%24dead/events/x'), 403, 'QUEUE_NOT_AUTHORIZED', '$')
  isProblem(
    t,
    await scene.post('/v1/queues/DB/events/SECRET'),
    403,
    'QUEUE_NOT_AUTHORIZED',
    'SECRET is closed'
  )
  t.is(scene.store.size, 0)
})

test('a message that is too large is answered with 413', async t => {
  const scene = await startScene(t, { settings: { maxPacketBytes: 2_000 } })
  const path = '/v1/queues/DB/events/CREATE'
  t.is((await scene.post(path, Buffer.alloc(1_980))).status, 201)
  isProblem(t, await scene.post(path, Buffer.alloc(1_999)), 413, 'QUEUE_PACKET_TOO_LARGE', '2000')
  isProblem(t, await scene.post(path, Buffer.alloc(2_001)), 413, 'QUEUE_REQUEST_TOO_LARGE', '2000 bytes')
  t.is(scene.store.size, 1)
})

test('a full store is answered with 507, a failed one with 503, and nothing is delivered', async t => {
  const scene = await startScene(t)
  const listener = await listen(scene)
  const path = '/v1/queues/DB/events/CREATE'
  scene.store.faults.commit = new QueueError('QUEUE_STORE_FULL', { detail: { problem: 'ENOSPC' } })
  isProblem(t, await scene.post(path, 'full'), 507, 'QUEUE_STORE_FULL', 'ENOSPC')
  delete scene.store.faults.commit
  t.is((await scene.post(path, 'room')).status, 201)
  scene.store.faults.commit = new QueueError('QUEUE_STORE_FAILED', { detail: { problem: 'EIO' } })
  isProblem(t, await scene.post(path, 'failed'), 503, 'QUEUE_STORE_FAILED')
  isProblem(t, await scene.post(path, 'later'), 503, 'QUEUE_STORE_FAILED')
  isProblem(t, await scene.request('/health/ready'), 503, 'QUEUE_NOT_READY', 'EIO')
  t.is((await scene.request('/health/live')).status, 200)
  t.deepEqual(await listener.payloads(1), ['room'])
  await listener.ping()
  t.is(listener.unreadMessages().length, 0)
})

test('a publish that is on its way when the server stops is answered', async t => {
  const scene = await startScene(t)
  const { lane } = scene.store
  const commit = lane.commit.bind(lane)
  let begin = () => {}
  let proceed = () => {}
  const begun = new Promise<void>(resolve => {
    begin = resolve
  })
  const allowed = new Promise<void>(resolve => {
    proceed = resolve
  })
  Object.assign(lane, {
    async commit(batch: Parameters<typeof commit>[0]) {
      begin()
      await allowed
      return commit(batch)
    }
  })
  const answer = scene.post('/v1/queues/DB/events/CREATE', 'x')
  await begun
  const stopped = scene.server.stop()
  proceed()
  t.like(await answer, { status: 201 })
  await stopped
})
