import test from 'ava'
import fc from 'fast-check'
import type { IPublishPacket } from 'mqtt-packet'
import { startScene } from '../../test/helpers/http-scene.ts'
import { testRandom, testRuns } from '../../test/helpers/tools-random.ts'

/** What goes in over HTTP and must come out over MQTT. */
interface Sent {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: 0 | 1 | 2
  readonly pairs: readonly (readonly [name: string, value: string])[]
  readonly correlation: Buffer | null
  readonly contentType: string | null
}

const text = fc.string({ unit: 'binary', maxLength: 8 }).map(value => value.replaceAll('\0', ''))
const level = text.map(value => value.replace(/[+#/]/g, ''))
const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map(array => Buffer.from(array))

const messages: fc.Arbitrary<Sent> = fc.record({
  topic: fc
    .array(level, { minLength: 1, maxLength: 4 })
    .map(levels => levels.join('/'))
    .filter(topic => topic !== '' && !topic.startsWith('$')),
  payload: bytes(300),
  qos: fc.constantFrom(0, 1, 2),
  // values are not empty: the decoder of this test would pass over such a one before another of the same name
  pairs: fc.array(
    fc.tuple(
      text.map(name => `${name.replaceAll('=', '')}n`),
      text.map(value => `${value}v`)
    ),
    { maxLength: 4 }
  ),
  correlation: fc.option(bytes(20)),
  contentType: fc.constantFrom(null, 'text/plain', 'application/json; charset=utf-8', 'a/b;c="d, e"')
})

/** User properties by name, as one text or a list. */
function byName({ pairs }: Sent): Record<string, string | string[]> {
  const properties = Object.create(null) as Record<string, string | string[]>
  for (const [name, value] of pairs) {
    const before = properties[name]
    properties[name] = before === undefined ? value : [...[before].flat(), value]
  }
  return properties
}

/** The path that publishes this message: by queue and event where the topic can stand in a path. */
function pathOf(sent: Sent): string {
  const query = new URLSearchParams({ qos: String(sent.qos) })
  for (const [name, value] of sent.pairs) query.append('userProperty', `${name}=${value}`)
  if (sent.correlation) query.set('correlationDataBase64', sent.correlation.toString('base64'))
  const levels = sent.topic.split('/')
  // clients take . and .. out of paths; an event that is empty is none
  const isSafe =
    levels.length > 1 && levels.at(-1) !== '' && !levels.some(name => name === '.' || name === '..')
  if (!isSafe) return `/v1/publish?topic=${encodeURIComponent(sent.topic)}&${query}`
  const [queue, ...event] = levels.map(encodeURIComponent)
  return `/v1/queues/${queue}/events/${event.join('/')}?${query}`
}

function itemOf(sent: Sent) {
  const { topic, payload, qos, correlation, contentType } = sent
  return {
    ...{ topic, qos, payloadBase64: payload.toString('base64url'), userProperties: byName(sent) },
    ...(correlation ? { correlationDataBase64: correlation.toString('base64') } : {}),
    ...(contentType === null ? {} : { contentType })
  }
}

/** What a listener must get. */
function wanted(sent: Sent) {
  const { topic, payload, qos, correlation, contentType } = sent
  return { topic, payload, qos, correlation, contentType, properties: Object.entries(byName(sent)).sort() }
}

function got({ topic, payload, qos, properties }: IPublishPacket) {
  return {
    ...{ topic, payload, qos },
    correlation: properties?.correlationData ?? null,
    contentType: properties?.contentType ?? null,
    properties: Object.entries(properties?.userProperties ?? {}).sort()
  }
}

test('whatever is published over HTTP arrives over MQTT as it was', async t => {
  const { seed } = testRandom(t)
  const scene = await startScene(t)
  const listener = await scene.connect({ protocolVersion: 5, clientId: 'listener' })
  await listener.subscribe('#', 2)
  await fc.assert(
    fc.asyncProperty(fc.array(messages, { minLength: 1, maxLength: 4 }), async list => {
      for (const sent of list) {
        // a Blob, unlike a text or bytes, has the media type that it is given, or none
        const body = new Blob(
          [new Uint8Array(sent.payload)],
          sent.contentType ? { type: sent.contentType } : {}
        )
        const headers: Record<string, string> = sent.contentType ? { 'content-type': sent.contentType } : {}
        const answer = await scene.post(pathOf(sent), body, headers)
        t.is(answer.status, sent.qos === 0 ? 202 : 201, answer.text)
        t.is(answer.body.topic, sent.topic)
        t.deepEqual(got((await listener.messages(1))[0]!), wanted(sent))
      }
      const batch = await scene.post('/v1/publish/batch', JSON.stringify(list.map(itemOf)), {
        'content-type': 'application/json'
      })
      t.is(batch.status, 200, batch.text)
      const arrived = (await listener.messages(list.length)).map(got)
      const ofQos = (rows: readonly { qos: number }[], isKept: boolean) =>
        rows.filter(({ qos }) => qos > 0 === isKept)
      for (const isKept of [true, false]) t.deepEqual(ofQos(arrived, isKept), ofQos(list.map(wanted), isKept))
    }),
    { seed, numRuns: testRuns(40) }
  )
})
