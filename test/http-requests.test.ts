import test from 'ava'
import type { FastifyPluginAsync } from 'fastify'
import type { Problem } from '../src/http/problem.ts'
import { startHttp } from './helpers/http-server.ts'

const plugin: FastifyPluginAsync = async app => {
  const item = {
    type: 'object',
    additionalProperties: false,
    required: ['name'],
    properties: {
      name: { type: 'string', enum: ['a', 'b'] },
      count: { type: 'integer', maximum: 3 },
      'a/b~c': { type: 'boolean' }
    }
  }
  const querystring = {
    type: 'object',
    additionalProperties: false,
    properties: {
      count: { type: 'integer' },
      flag: { type: 'boolean' },
      at: { type: 'string', format: 'date-time' }
    }
  }
  app.get('/things', { schema: { querystring } }, async ({ query }) => query)
  app.post(
    '/things',
    { bodyLimit: 500, schema: { body: { type: 'array', items: item } } },
    async ({ body }) => body
  )
}

async function start(t: Parameters<typeof startHttp>[0]) {
  const { http, port } = await startHttp(t, { routes: [plugin], allowedOrigins: ['https://app.example'] })
  const post = (body: unknown) =>
    http.app.inject({
      method: 'POST',
      url: '/v1/things',
      payload: JSON.stringify(body),
      headers: { 'content-type': 'application/json' }
    })
  return { http, port, post, get: (query: string) => http.app.inject(`/v1/things?${query}`) }
}

test('values in a query are read as what they are meant to be, values in a body are taken as they are', async t => {
  const { get, post } = await start(t)
  t.deepEqual((await get('count=5&flag=true')).json(), { count: 5, flag: true })
  t.deepEqual((await post([{ name: 'a', count: 3 }])).json(), [{ name: 'a', count: 3 }])
  t.is((await post([{ name: 'a', count: '3' }])).statusCode, 400)
  t.is((await post([{ name: 'a', 'a/b~c': 'true' }])).statusCode, 400)
})

test('what is wrong with a request is said in full', async t => {
  const { get, post } = await start(t)
  const cases = [
    [await get('cuont=5'), 'the query: "cuont" is not known; known are count, flag, at'],
    [await get('count=5.5'), 'the query, count: must be integer; it is "5.5"'],
    [await get('count=1&count=2'), 'the query, count: must be integer'],
    [await get('at=yesterday'), 'the query, at: must match format "date-time"; it is "yesterday"'],
    [await post([{}]), 'the body, 0: name is missing'],
    [await post([{ name: 'a' }, { name: 'c' }]), 'the body, 1.name: "c" is not one of "a", "b"'],
    [await post([{ name: 'a', 'a/b~c': 1 }]), 'the body, 0.a/b~c: must be boolean; it is 1'],
    [await post({}), 'the body: must be array'],
    [await post([{ name: 'x'.repeat(100) }]), `the body, 0.name: "${'x'.repeat(59)}… is not one of "a", "b"`]
  ] as const
  for (const [response, detail] of cases) {
    t.is(response.statusCode, 400)
    t.like(response.json<Problem>(), { code: 'QUEUE_REQUEST_INVALID', detail })
  }
  const large = await post([{ name: 'x'.repeat(600) }])
  t.like(large.json<Problem>(), { status: 413, detail: 'the body is larger than the limit of 500 bytes' })
})

test('a query that is no percent-encoded UTF-8 is refused', async t => {
  const { get } = await start(t)
  for (const query of ['at=%ff', 'at=%zz', 'at=%', '%e2%98=1']) {
    const response = await get(query)
    t.like(
      response.json<Problem>(),
      { status: 400, code: 'QUEUE_REQUEST_INVALID', instance: '/v1/things' },
      query
    )
    t.true(response.json<Problem>().detail.includes('percent-encoded'), query)
  }
  t.is((await get('count=%35')).statusCode, 200)
})

test('OPTIONS tells what is possible', async t => {
  const { http } = await start(t)
  const plain = await http.app.inject({ method: 'OPTIONS', url: '/v1/things' })
  t.is(plain.statusCode, 204)
  t.is(plain.headers.allow, 'GET, HEAD, POST')
  t.is(plain.headers['access-control-allow-methods'], undefined)
  t.is((await http.app.inject({ method: 'OPTIONS', url: '/nowhere' })).statusCode, 404)
})

test('a page of an allowed origin may post, one of another may not', async t => {
  const { http } = await start(t)
  const ask = (origin: string) =>
    http.app.inject({
      method: 'OPTIONS',
      url: '/v1/things',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type'
      }
    })
  const allowed = await ask('https://app.example')
  t.is(allowed.statusCode, 204)
  t.is(allowed.headers['access-control-allow-origin'], 'https://app.example')
  t.is(allowed.headers['access-control-allow-methods'], 'GET, HEAD, POST')
  t.is(allowed.headers['access-control-allow-headers'], 'content-type')
  const refused = await ask('https://evil.example')
  t.is(refused.statusCode, 403)
  t.is(refused.headers['access-control-allow-origin'], undefined)
})

test('the server is not ready once it stops, and lives until it has', async t => {
  const { http } = await start(t)
  t.is((await http.app.inject('/health/ready')).statusCode, 200)
  http.stopAccepting()
  t.like((await http.app.inject('/health/ready')).json(), {
    status: 503,
    code: 'QUEUE_NOT_READY',
    detail: 'the server is stopping'
  })
  t.deepEqual((await http.app.inject('/health/live')).json(), { status: 'live' })
})
