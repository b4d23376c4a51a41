import test from 'ava'
import type { FastifyPluginAsync } from 'fastify'
import { QueueError } from '../src/errors.ts'
import { createHttp, type HttpOptions } from '../src/http/http.ts'
import type { Problem } from '../src/http/problem.ts'
import { type Logger, silentLog } from '../src/log.ts'
import { rawRequest, startHttp } from './helpers/http-server.ts'

const plugin: FastifyPluginAsync = async app => {
  app.post<{ Body: { count: number } }>(
    '/things',
    {
      schema: {
        body: { type: 'object', required: ['count'], properties: { count: { type: 'integer', maximum: 3 } } }
      }
    },
    async ({ body }) => body
  )
  app.get('/things', async () => [])
  app.get('/full', async () => {
    throw new QueueError('QUEUE_STORE_FULL', { detail: { problem: 'ENOSPC' } })
  })
  app.get('/corrupt', async () => {
    throw new QueueError('QUEUE_DATA_CORRUPT', { detail: { file: '/srv/secret', problem: 'crc' } })
  })
  app.get('/broken', async () => {
    throw Object.assign(new Error('password is tiger'), { statusCode: 418, code: 'E_SECRET' })
  })
  app.get<{ Params: { id: string } }>('/things/:id', async ({ params }) => ({ id: params.id }))
  app.delete<{ Params: { name: string } }>('/things/:name', async ({ params }) => ({ gone: params.name }))
}

function build(options: Partial<HttpOptions> = {}) {
  const base = { log: silentLog, isReady: () => ({ ready: true }), onMqtt: () => {}, routes: [plugin] }
  return createHttp({ ...base, ...options }).app
}

test('a failed request answers with problem details', async t => {
  const app = build()
  const cases = [
    ['unknown path', { method: 'GET', url: '/nowhere?token=1' }, 404, 'QUEUE_NOT_FOUND', '/nowhere'],
    ['unknown method', { method: 'PUT', url: '/v1/things' }, 405, 'QUEUE_METHOD_NOT_ALLOWED', '/v1/things'],
    [
      'bad encoding',
      { method: 'GET', url: '/v1/things/%zz' },
      400,
      'QUEUE_REQUEST_INVALID',
      '/v1/things/%zz'
    ],
    ['not UTF-8', { method: 'GET', url: '/v1/things/%ff' }, 400, 'QUEUE_REQUEST_INVALID', '/v1/things/%ff'],
    ['store full', { method: 'GET', url: '/v1/full' }, 507, 'QUEUE_STORE_FULL', '/v1/full'],
    ['upgrade missing', { method: 'GET', url: '/mqtt' }, 426, 'QUEUE_UPGRADE_REQUIRED', '/mqtt']
  ] as const
  for (const [name, request, status, code, instance] of cases) {
    const response = await app.inject({ ...request })
    const problem = response.json<Problem>()
    t.is(response.headers['content-type'], 'application/problem+json', name)
    t.is(response.statusCode, status, name)
    t.like(problem, { type: 'about:blank', status, code, instance }, name)
    t.true(problem.title.length > 0 && problem.detail.length > 0, name)
  }
})

test('a bad body answers with problem details that name what is wrong', async t => {
  const app = build()
  const post = (payload: string, type = 'application/json') =>
    app.inject({ method: 'POST', url: '/v1/things', headers: { 'content-type': type }, payload })
  const cases = [
    ['no JSON', await post('{"count":'), 400, 'QUEUE_REQUEST_INVALID', 'JSON'],
    ['schema', await post('{"count":4}'), 400, 'QUEUE_REQUEST_INVALID', 'count'],
    ['missing', await post('{}'), 400, 'QUEUE_REQUEST_INVALID', 'count'],
    ['media type', await post('<a/>', 'application/xml'), 415, 'QUEUE_MEDIA_TYPE_UNSUPPORTED', 'Media Type'],
    ['prototype', await post('{"__proto__":{"a":1},"count":1}'), 400, 'QUEUE_REQUEST_INVALID', ''],
    ['too large', await post(`"${'x'.repeat(1_100_000)}"`), 413, 'QUEUE_REQUEST_TOO_LARGE', 'large']
  ] as const
  for (const [name, response, status, code, text] of cases) {
    t.is(response.headers['content-type'], 'application/problem+json', name)
    t.like(response.json<Problem>(), { status, code, instance: '/v1/things' }, name)
    t.true(response.json<Problem>().detail.includes(text), `${name}: ${response.body}`)
  }
})

test('an unknown error answers 500 without its text and is logged', async t => {
  const logged: object[] = []
  const log: Logger = { ...silentLog, error: fields => logged.push(fields) }
  const response = await build({ log }).inject('/v1/broken')
  t.like(response.json<Problem>(), { status: 500, code: 'QUEUE_INTERNAL' })
  t.notRegex(response.body, /tiger|SECRET/)
  t.like(logged, [{ method: 'GET', path: '/v1/broken' }])
})

test('an internal QueueError answers with its code and without its text', async t => {
  const response = await build().inject('/v1/corrupt')
  t.like(response.json<Problem>(), { status: 500, code: 'QUEUE_DATA_CORRUPT' })
  t.notRegex(response.body, /secret|crc/)
})

test('405 names the methods that are possible', async t => {
  const app = build()
  const response = await app.inject({ method: 'DELETE', url: '/v1/things' })
  t.is(response.statusCode, 405)
  t.is(response.headers.allow, 'GET, HEAD, POST')
  // two routes of one path that name their parameter differently
  t.is((await app.inject({ method: 'PUT', url: '/v1/things/1' })).headers.allow, 'DELETE, GET, HEAD')
  t.deepEqual((await app.inject({ method: 'DELETE', url: '/v1/things/1' })).json(), { gone: '1' })
})

test('health/ready answers 503 with the reason until the server is ready', async t => {
  let readiness: { ready: boolean; reason?: string } = { ready: false, reason: 'the store opens' }
  const app = build({ isReady: () => readiness })
  t.like((await app.inject('/health/ready')).json(), {
    status: 503,
    code: 'QUEUE_NOT_READY',
    detail: 'the store opens'
  })
  t.is((await app.inject('/health/live')).statusCode, 200)
  readiness = { ready: true }
  const response = await app.inject('/health/ready')
  t.is(response.statusCode, 200)
  t.deepEqual(response.json(), { status: 'ready' })
})

test('a path carries any id of up to 65,535 bytes', async t => {
  const { port } = await startHttp(t, { routes: [plugin] })
  const ids = ['a/b', 'ü %2F', 'constructor', '__proto__', 'a?b#c;d', '%', '☃'.repeat(21_845)]
  for (const id of ids) {
    const response = await fetch(`http://127.0.0.1:${port}/v1/things/${encodeURIComponent(id)}`)
    t.is(response.status, 200, id.slice(0, 20))
    t.deepEqual(await response.json(), { id })
  }
})

test('bytes that are no HTTP are answered with problem details', async t => {
  const { port } = await startHttp(t)
  const answer = await rawRequest(port, ['\x10\x0c\x00\x04MQTT'])
  t.is(answer.status, 400)
  t.is(answer.headers.get('content-type'), 'application/problem+json')
  t.is((JSON.parse(answer.body) as Problem).code, 'QUEUE_REQUEST_INVALID')
  const tooLong = await rawRequest(port, [`GET /${'x'.repeat(300_000)} HTTP/1.1`, 'host: localhost'])
  t.is(tooLong.status, 431)
  t.is((JSON.parse(tooLong.body) as Problem).code, 'QUEUE_HEADERS_TOO_LARGE')
})
