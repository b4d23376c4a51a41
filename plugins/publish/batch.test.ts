import test from 'ava'
import { QueueError } from '../../src/plugin.ts'
import { type HttpScene, startScene } from '../../test/helpers/http-scene.ts'

const PATH = '/v1/publish/batch'
const LINES = { 'content-type': 'application/x-ndjson' }

function post(scene: HttpScene, messages: unknown) {
  const body = typeof messages === 'string' ? messages : JSON.stringify(messages)
  return scene.post(PATH, body, { 'content-type': 'application/json' })
}

test('a batch is answered message by message, in order, in JSON and NDJSON', async t => {
  const scene = await startScene(t)
  const listener = await scene.connect({ protocolVersion: 5 })
  await listener.subscribe('#', 2)
  const messages = [
    {
      topic: 'DB/CREATE',
      payload: 'text',
      qos: 2,
      contentType: 'text/plain',
      userProperties: { a: '1', b: ['2', '3'] }
    },
    { topic: 'DB/CREATE', payload: { id: 1, name: 'ü' } },
    { topic: 'DB/CREATE', payload: null },
    { topic: 'DB/CREATE', payloadBase64: '/wA', expirySeconds: 60, correlationData: 'c', responseTopic: 'r' },
    { topic: 'DB', userProperties: {} },
    { topic: 'DB/PING', qos: 0 }
  ]
  const lines = messages.map(message => `${JSON.stringify(message)}\r\n`).join('\n')
  for (const answer of [await post(scene, messages), await scene.post(PATH, lines, LINES)]) {
    t.is(answer.status, 200, answer.text)
    t.like(answer.body, { accepted: 6, refused: 0 })
    const results = answer.body.results as Record<string, unknown>[]
    t.deepEqual(
      results.map(({ status, topic, id }) => [status, topic, id !== null]),
      messages.map(({ topic, qos }) => [qos === 0 ? 202 : 201, topic, qos !== 0])
    )
    const ids = results.slice(0, 5).map(({ id }) => Number(String(id).split(':')[1]))
    t.deepEqual(
      ids,
      ids.map((_, i) => ids[0]! + i)
    )
    const got = await listener.messages(6)
    const kept = got.filter(({ qos }) => qos > 0)
    t.deepEqual(
      kept.map(({ payload }) => payload),
      [
        Buffer.from('text'),
        Buffer.from('{"id":1,"name":"ü"}'),
        Buffer.from('null'),
        Buffer.from([255, 0]),
        Buffer.alloc(0)
      ]
    )
    t.deepEqual(
      kept.map(({ properties }) => properties?.contentType),
      ['text/plain', 'application/json', 'application/json', undefined, undefined]
    )
    t.deepEqual({ ...kept[0]!.properties?.userProperties }, { a: '1', b: ['2', '3'] })
    t.like(kept[3]!.properties, {
      messageExpiryInterval: 60,
      responseTopic: 'r',
      correlationData: Buffer.from('c')
    })
  }
})

test('a batch shares its commits', async t => {
  const scene = await startScene(t)
  const { commits } = scene.store.calls
  t.is(
    (
      await post(
        scene,
        Array.from({ length: 1_000 }, (_, id) => ({ topic: 'DB/CREATE', payload: { id } }))
      )
    ).status,
    200
  )
  t.is(scene.store.size, 1_000)
  t.true(scene.store.calls.commits - commits <= 10, `${scene.store.calls.commits - commits} commits`)
})

test('messages of a batch are accepted or refused each for itself', async t => {
  const scene = await startScene(t, { settings: { maxPacketBytes: 2_000 } })
  const answer = await post(scene, [
    { topic: 'DB/CREATE', payload: 'a' },
    { topic: '$SYS/x' },
    { topic: 'DB/+' },
    { topic: 'DB/CREATE', payload: 'x'.repeat(3_000) },
    { topic: 'DB/CREATE', payload: 'b' }
  ])
  t.is(answer.status, 207, answer.text)
  t.like(answer.body, { accepted: 2, refused: 3 })
  const results = answer.body.results as Record<string, unknown>[]
  t.deepEqual(
    results.map(({ status, code, topic }) => [status, code, topic]),
    [
      [201, undefined, 'DB/CREATE'],
      [403, 'QUEUE_NOT_AUTHORIZED', '$SYS/x'],
      [400, 'QUEUE_TOPIC_INVALID', 'DB/+'],
      [413, 'QUEUE_PACKET_TOO_LARGE', 'DB/CREATE'],
      [201, undefined, 'DB/CREATE']
    ]
  )
  t.is(scene.store.size, 2)
})

test('a batch of which nothing was accepted for one reason is answered with that reason', async t => {
  const scene = await startScene(t)
  scene.store.faults.commit = new QueueError('QUEUE_STORE_FULL', { detail: { problem: 'ENOSPC' } })
  const answer = await post(scene, [{ topic: 'a' }, { topic: 'b' }])
  t.is(answer.status, 507)
  t.like(answer.body, { code: 'QUEUE_STORE_FULL', instance: PATH })
  delete scene.store.faults.commit
  t.is((await post(scene, [{ topic: '$a' }, { topic: '+' }])).status, 207)
})

test('a batch that is not right is refused as a whole, and says which message is wrong', async t => {
  const scene = await startScene(t)
  const good = { topic: 'DB/CREATE' }
  const cases: [unknown, number, string][] = [
    ['', 400, 'not JSON'],
    ['[{"topic":"a"},', 400, 'not JSON'],
    [{ topic: 'a' }, 400, 'array'],
    [[], 400, 'fewer than 1'],
    [[good, {}], 400, 'the body, 1: topic is missing'],
    [[good, { topic: 'a', qos: '1' }], 400, 'the body, 1.qos: must be integer; it is "1"'],
    [[good, { topic: 'a', queue: 'b' }], 400, '"queue" is not known; known are topic, payload'],
    [[good, { topic: 'a', payload: 'x', payloadBase64: 'eA' }], 400, 'not both'],
    [[good, { topic: 'a', payloadBase64: 'abcde' }], 400, 'message 1: payloadBase64 is not base64'],
    [[good, { topic: 'a', payload: '\ud800' }], 400, 'message 1: payload has half of a surrogate pair'],
    ['[{"topic":"a"},{"topic":"a","payload":{"n":[9007199254740993]}}]', 400, 'lost digits'],
    [
      `[{"topic":"a","payload":${'['.repeat(50_000)}${']'.repeat(50_000)}}]`,
      400,
      'cannot be written as JSON'
    ],
    [Array.from({ length: 1_001 }, () => good), 400, 'more than 1000'],
    [[{ ...good, payload: 'x'.repeat(4_194_304) }], 413, '4194304 bytes']
  ]
  for (const [messages, status, text] of cases) {
    const answer = await post(scene, messages)
    t.is(answer.status, status, answer.text)
    t.true(String(answer.body.detail).includes(text), answer.text)
  }
  const line = await scene.post(PATH, '{"topic":"a"}\n\n{"topic":', LINES)
  t.like(line, { status: 400 })
  t.true(String(line.body.detail).includes('line 3 is not JSON'), line.text)
  const latin = await scene.post(PATH, Buffer.from('[{"topic":"\xfc"}]', 'latin1'), {
    'content-type': 'application/json'
  })
  t.true(String(latin.body.detail).includes('not UTF-8'), latin.text)
  const plain = await scene.post(PATH, '[]', { 'content-type': 'text/plain' })
  t.is(plain.status, 415)
  t.true(String(plain.body.detail).includes('application/x-ndjson'), plain.text)
  t.is(scene.store.size, 0)
})
