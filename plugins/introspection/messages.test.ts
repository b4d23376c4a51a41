import test from 'ava'
import {
  type MessageFilter,
  type MessagePart,
  type MessageReader,
  type OwedMessage,
  QueueError,
  type StoredMessage
} from '../../src/plugin.ts'
import { FAKE_NOW, FakeDirectory, mountPlugin } from '../../test/helpers/http-directory.ts'
import { introspection } from './index.ts'

/** Messages of a list, in parts of so many places at most. */
class FakeMessages implements MessageReader {
  readonly all: StoredMessage[] = []
  owedItems: OwedMessage[] = []
  partPlaces = 1_000
  owedReads = 0
  readonly filters: MessageFilter[] = []

  add(parts: Partial<StoredMessage> & { text?: string } = {}): StoredMessage {
    const { text = 'hello', ...rest } = parts
    const sequence = this.all.length + 1
    const message: StoredMessage = {
      ...{ id: `lane-1:${sequence}`, sequence, topic: 'DB/CREATE', qos: 1, isRetained: false },
      ...{
        payload: Buffer.from(text),
        properties: null,
        publisher: 'app',
        acceptedAt: FAKE_NOW,
        expiresAt: null
      },
      ...rest
    }
    this.all.push(message)
    return message
  }

  async byId(id: string): Promise<StoredMessage | null> {
    return this.all.find(message => message.id === id) ?? null
  }

  async owed(clientId: string, after: string | null, limit: number): Promise<MessagePart<OwedMessage>> {
    if (clientId !== 'logger') {
      throw new QueueError('QUEUE_NOT_FOUND', { detail: { kind: 'session', name: clientId } })
    }
    this.owedReads++
    return this.#part(this.owedItems, Number(after ?? 0), limit)
  }

  async newest(filter: MessageFilter, before: string | null, limit: number) {
    this.filters.push(filter)
    const { items, next } = this.#part([...this.all].reverse(), Number(before ?? 0), limit)
    return {
      items: items.filter(({ publisher }) => !filter.publisher || publisher === filter.publisher),
      next
    }
  }

  #part<Item>(items: readonly Item[], from: number, limit: number): MessagePart<Item> {
    const to = from + Math.min(limit, this.partPlaces)
    return { items: items.slice(from, to), next: to < items.length ? String(to) : null }
  }
}

async function start() {
  const messages = new FakeMessages()
  const app = await mountPlugin(introspection, new FakeDirectory(), { messages })
  return { messages, app, get: async (url: string) => (await app.inject(url)).json() }
}

const PLAIN = {
  topic: 'DB/CREATE',
  queue: 'DB',
  event: 'CREATE',
  qos: 1,
  retained: false,
  publisher: 'app',
  acceptedAt: '2026-01-02T03:04:05.678Z',
  expiresAt: null,
  payloadBytes: 5,
  payload: 'hello',
  encoding: 'utf8',
  cut: false,
  properties: null
}

test('a message is shown with its payload as text, its publisher and times', async t => {
  const { messages, get } = await start()
  messages.add()
  messages.add({ publisher: '', isRetained: true, expiresAt: FAKE_NOW + 1_000 })
  t.deepEqual(await get('/v1/messages/lane-1:1'), { id: 'lane-1:1', ...PLAIN })
  t.like(await get('/v1/messages/lane-1:2'), {
    ...{ publisher: null, retained: true, expiresAt: '2026-01-02T03:04:06.678Z' }
  })
  t.is((await get('/v1/messages/lane-1:3')).statusCode, 404)
})

test('properties of MQTT 5 are shown', async t => {
  const { messages, get } = await start()
  const correlationData = Buffer.from([1, 255])
  messages.add({
    properties: {
      ...{
        contentType: 'application/json',
        responseTopic: 'r',
        correlationData,
        payloadFormatIndicator: true
      },
      userProperties: { one: 'a', two: ['b', 'c'] }
    }
  })
  t.deepEqual((await get('/v1/messages/lane-1:1')).properties, {
    payloadFormatIndicator: true,
    contentType: 'application/json',
    responseTopic: 'r',
    correlationData: 'Af8=',
    userProperties: { one: ['a'], two: ['b', 'c'] }
  })
})

test('a payload that is no UTF-8 is shown in base64, and raw as it is', async t => {
  const { messages, app, get } = await start()
  const payload = Buffer.from([0xff, 0x00, 0x80])
  messages.add({ payload })
  t.like(await get('/v1/messages/lane-1:1'), { payload: '/wCA', encoding: 'base64', payloadBytes: 3 })
  const raw = await app.inject('/v1/messages/lane-1:1?payload=raw')
  t.deepEqual(raw.rawPayload, payload)
  t.is(raw.headers['content-type'], 'application/octet-stream')
})

test('a raw payload has the content type of its publisher, and a browser does not run it', async t => {
  const { messages, app } = await start()
  const types = [
    ['text/html', 'text/html'],
    ['application/json; charset=utf-8', 'application/json; charset=utf-8'],
    ['image/svg+xml', 'image/svg+xml'],
    ['x\r\nset-cookie: a=b', 'application/octet-stream'],
    ['wörd/x', 'application/octet-stream'],
    ['', 'application/octet-stream']
  ] as const
  for (const [contentType, told] of types) {
    const { id } = messages.add({ text: '<script>', properties: { contentType } })
    const response = await app.inject(`/v1/messages/${id}?payload=raw`)
    t.is(response.headers['content-type'], told)
    t.is(response.headers['content-disposition'], 'attachment')
    t.is(response.headers['content-security-policy'], "default-src 'none'; sandbox")
    t.is(response.headers['x-content-type-options'], 'nosniff')
    t.is(response.body, '<script>')
  }
})

test('a list shows the beginning of long payloads, cut between two characters', async t => {
  const { messages, get } = await start()
  messages.add({ text: `ab${'€'.repeat(1_000)}` })
  messages.add({ payload: Buffer.alloc(5_000, 0xff) })
  const [binary, text] = (await get('/v1/messages')).messages
  t.like(text, { payload: `ab${'€'.repeat(340)}`, cut: true, encoding: 'utf8', payloadBytes: 3_002 })
  t.like(binary, { cut: true, encoding: 'base64', payloadBytes: 5_000 })
  t.is(Buffer.from(binary.payload, 'base64').length, 1_024)
  t.like(await get('/v1/messages/lane-1:1'), { payload: `ab${'€'.repeat(1_000)}`, cut: false })
})

test('messages are listed newest first, page by page', async t => {
  const { messages, get } = await start()
  for (let i = 0; i < 5; i++) messages.add()
  const ids = ({ messages }: { messages: { id: string }[] }) => messages.map(({ id }) => id)
  const first = await get('/v1/messages?limit=3')
  t.deepEqual(ids(first), ['lane-1:5', 'lane-1:4', 'lane-1:3'])
  const second = await get(`/v1/messages?limit=3&cursor=${first.next}`)
  t.deepEqual([ids(second), second.next], [['lane-1:2', 'lane-1:1'], null])
})

test('a page is filled from several parts, and may be empty when too many hold nothing', async t => {
  const { messages, get } = await start()
  messages.partPlaces = 2
  messages.add({ publisher: 'rare' })
  for (let i = 0; i < 150; i++) messages.add()
  messages.add({ publisher: 'rare' })
  const first = await get('/v1/messages?publisher=rare')
  t.is(first.messages.length, 1)
  const second = await get(`/v1/messages?publisher=rare&cursor=${first.next}`)
  t.deepEqual(second.messages, [])
  const third = await get(`/v1/messages?publisher=rare&cursor=${second.next}`)
  t.deepEqual([third.messages.length, third.next], [1, null])
})

test('a cursor of another list, or of none, is refused', async t => {
  const { messages, app, get } = await start()
  for (let i = 0; i < 3; i++) {
    const message = messages.add()
    messages.owedItems.push({ status: 'queued', sequence: message.sequence, message })
  }
  const { next: ofMessages } = await get('/v1/messages?limit=1')
  const { next: ofOwed } = await get('/v1/sessions/logger/messages?limit=1')
  const status = async (url: string) => (await app.inject(url)).statusCode
  for (const cursor of [ofOwed, 'a', '*', 'MQ']) t.is(await status(`/v1/messages?cursor=${cursor}`), 400)
  for (const cursor of [ofMessages, 'MQ']) {
    t.is(await status(`/v1/sessions/logger/messages?cursor=${cursor}`), 400)
  }
})

test('filters of messages become a topic filter and times', async t => {
  const { messages, get } = await start()
  const asked = async (query: string) => {
    await get(`/v1/messages?${query}`)
    return messages.filters.at(-1)
  }
  t.like(await asked('queue=DB'), { topicFilter: 'DB/#' })
  t.like(await asked('queue=DB&event=CREATE/users'), { topicFilter: 'DB/CREATE/users' })
  t.like(await asked('queue=DB&event='), { topicFilter: 'DB' })
  t.like(await asked('topic=%2B/CREATE'), { topicFilter: '+/CREATE' })
  t.like(await asked('publisher=app'), { topicFilter: undefined, publisher: 'app' })
  t.like(await asked('from=2026-01-02T03:04:05.678Z&to=2026-01-02T04:04:05.678%2B01:00'), {
    ...{ from: FAKE_NOW, to: FAKE_NOW }
  })
})

test('filters of messages that cannot be are refused', async t => {
  const { app } = await start()
  const bad = [
    ...['queue=a/b', 'queue=%2B', 'event=x', 'queue=a&event=%23', 'topic=a/%23/b', 'topic='],
    ...['topic=a&queue=a', 'from=yesterday', 'limit=0', 'cursor=*', 'sort=id']
  ]
  for (const query of bad) t.is((await app.inject(`/v1/messages?${query}`)).statusCode, 400, query)
})

test('what a session has still to ack is shown by status', async t => {
  const { messages, get } = await start()
  for (const status of ['inflight', 'queued', 'queued', 'queued'] as const) {
    const message = messages.add()
    messages.owedItems.push({ status, sequence: message.sequence, message })
  }
  messages.owedItems.push({ status: 'queued', sequence: 9, message: null })
  const list = async (query = '') => {
    const page = await get(`/v1/sessions/logger/messages${query}`)
    const rows: { status: string; sequence: number }[] = page.messages
    return { ...page, rows: rows.map(({ status, sequence }) => `${status} ${sequence}`) }
  }
  const all = await list()
  t.deepEqual(all.rows, ['inflight 1', 'queued 2', 'queued 3', 'queued 4', 'queued 9'])
  t.deepEqual(all.messages[0], { status: 'inflight', sequence: 1, message: { id: 'lane-1:1', ...PLAIN } })
  t.is(all.messages[4].message, null)
  const inflight = await list('?status=inflight')
  t.deepEqual([inflight.rows, inflight.next], [['inflight 1'], null])
  messages.owedReads = 0
  messages.partPlaces = 1
  await list('?status=inflight')
  t.is(messages.owedReads, 2, 'what is queued comes behind, and is not gone through')
  messages.partPlaces = 1_000
  const first = await list('?status=queued&limit=2')
  t.deepEqual(first.rows, ['queued 2', 'queued 3'])
  t.deepEqual((await list(`?status=queued&limit=2&cursor=${first.next}`)).rows, ['queued 4', 'queued 9'])
  t.is((await get('/v1/sessions/nobody/messages')).statusCode, 404)
  t.is((await get('/v1/sessions/logger/messages?status=acked')).statusCode, 400)
})
