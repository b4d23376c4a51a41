import { Ajv } from 'ajv'
import test from 'ava'
import { z } from 'zod'
import type { ClientError, RawMessage } from '../../src/client/index.ts'
import { openClient, startScene } from '../helpers/client-scene.ts'

interface Customer {
  readonly id: number
  readonly name: string
}

test('objects travel as JSON, text and bytes as they are', async t => {
  const { url } = await startScene(t)
  const { client, log } = await openClient(t, url)
  const noted = (format: 'json' | 'text' | 'bytes') =>
    client.on('DB', format, message => log.note(`${format} ${JSON.stringify(message.payload)}`), { format })
  await Promise.all([noted('json'), noted('text'), noted('bytes')])
  await client.publish('DB', 'json', { id: 1, name: 'Ünal' })
  await client.publish('DB', 'json', null)
  await client.publish('DB', 'text', 'grüße')
  await client.publish('DB', 'bytes', Uint8Array.of(0, 255))
  await log.noted(4)
  t.deepEqual(log.notes, [
    'json {"id":1,"name":"Ünal"}',
    'json null',
    'text "grüße"',
    `bytes ${JSON.stringify(Buffer.from([0, 255]))}`
  ])
})

test('message says all that its publisher said', async t => {
  const { url } = await startScene(t)
  const { client } = await openClient(t, url)
  const message = new Promise<RawMessage>(resolve => void client.on('DB', 'CREATE/users', resolve))
  await client.on('DB', 'sync', () => {}) // its SUBACK comes behind the first one
  await client.publish('DB', 'CREATE/users', [1], {
    expirySeconds: 60,
    contentType: 'application/json',
    responseTopic: 'ANSWERS/1',
    correlationData: Uint8Array.of(7, 8),
    userProperties: { trace: 'abc', tag: ['a', 'b'] }
  })
  const { queue, event, topic, qos, isRetained, isRedelivered, attempt, properties, bytes } = await message
  t.deepEqual([queue, event, topic, qos], ['DB', 'CREATE/users', 'DB/CREATE/users', 1])
  t.deepEqual([isRetained, isRedelivered, attempt], [false, false, 1])
  t.is(new TextDecoder().decode(bytes), '[1]')
  t.is(properties.contentType, 'application/json')
  t.is(properties.responseTopic, 'ANSWERS/1')
  t.deepEqual([...properties.correlationData!], [7, 8])
  t.is(properties.expirySeconds, 60)
  t.deepEqual(properties.userProperties, { trace: 'abc', tag: ['a', 'b'] })
})

test('payload is what a Standard Schema makes of it', async t => {
  const { url } = await startScene(t)
  const { client, log } = await openClient(t, url)
  const schema = z.object({ id: z.number(), name: z.string().trim(), level: z.number().default(1) })
  await client.on(
    'DB',
    'CREATE',
    ({ payload }) => log.note(`${payload.id} ${payload.name} ${payload.level}`),
    { schema }
  )
  await client.publish('DB', 'CREATE', { id: 1, name: '  Ada ' })
  t.deepEqual(await log.noted(1), ['1 Ada 1'])
})

test('payload that does not fit is reported and acked, and the next one is handled', async t => {
  const { url, tap } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger' })
  const schema = z.object({ id: z.number(), name: z.string() })
  await client.on<Customer>('DB', 'CREATE', ({ payload }) => log.note(payload.name), { schema })
  await client.publish('DB', 'CREATE', { id: 'one', name: 'Ada' })
  await client.publish('DB', 'CREATE', 'not JSON')
  await client.publish('DB', 'CREATE', { id: 2, name: 'Bob' })
  await tap.until(() => tap.sentOf('puback').length === 3)
  t.deepEqual(log.notes, ['Bob'])
  t.deepEqual(log.codes(), ['CLIENT_PAYLOAD_INVALID', 'CLIENT_PAYLOAD_INVALID'])
  t.regex(log.errors[0]!.message, /DB\/CREATE does not fit: id: /)
  t.regex(log.errors[1]!.message, /expected JSON/)
  t.is(new TextDecoder().decode((log.errors[1]!.detail.message as RawMessage).bytes), 'not JSON')
})

test('validate function of Ajv is a schema', async t => {
  const { url, tap } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger' })
  const schema = new Ajv().compile<Customer>({
    type: 'object',
    properties: { id: { type: 'integer' }, name: { type: 'string' } },
    required: ['id', 'name']
  })
  await client.on('DB', 'CREATE', ({ payload }) => log.note(payload.name), { schema })
  await client.publish('DB', 'CREATE', { id: 'one', name: 'Ada' })
  await client.publish('DB', 'CREATE', { id: 2, name: 'Bob' })
  await tap.until(() => tap.sentOf('puback').length === 2)
  t.deepEqual(log.notes, ['Bob'])
  t.regex(log.errors[0]!.message, /\/id must be integer/)
})

test('payload that does not fit comes again with onInvalid reject', async t => {
  const { url, tap } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger' })
  await client.on('DB', 'CREATE', () => {}, { onInvalid: 'reject' })
  await client.publish('DB', 'CREATE', 'not JSON')
  await log.until(() => log.errors.length === 2)
  t.deepEqual(log.codes(), ['CLIENT_HANDLER_REJECTED', 'CLIENT_HANDLER_REJECTED'])
  t.is(tap.sentOf('puback').length, 0)
})

test('function for what does not fit is given the message, which is acked when it resolves', async t => {
  const { url, tap } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger' })
  const onInvalid = async ({ bytes, attempt }: RawMessage, error: ClientError) => {
    log.note(`${error.code} ${new TextDecoder().decode(bytes)}`)
    if (attempt === 1) throw new Error('no room')
  }
  await client.on('DB', 'CREATE', () => {}, { onInvalid })
  await client.publish('DB', 'CREATE', 'not JSON')
  await tap.until(() => tap.sentOf('puback').length === 1)
  t.deepEqual(log.notes, ['CLIENT_PAYLOAD_INVALID not JSON', 'CLIENT_PAYLOAD_INVALID not JSON'])
  t.deepEqual(log.codes(), ['CLIENT_HANDLER_REJECTED'])
})

test('payload that JSON cannot say is refused', async t => {
  const { url } = await startScene(t)
  const { client } = await openClient(t, url)
  const loop: { self?: unknown } = {}
  loop.self = loop
  for (const payload of [undefined, () => {}, loop, 1n]) {
    await t.throwsAsync(client.publish('DB', 'CREATE', payload), { code: 'CLIENT_OPTIONS_INVALID' })
  }
})
