import test from 'ava'
import { QueueError } from '../src/errors.ts'
import { createGuard } from '../src/http/guard.ts'
import type { Problem } from '../src/http/problem.ts'
import { rawRequest, startHttp } from './helpers/http-server.ts'

const live = (headers: readonly string[], version = '1.1') => [
  `GET /health/live HTTP/${version}`,
  'connection: close',
  ...headers
]

test('a request for the name of another site is refused', async t => {
  const { port } = await startHttp(t, { allowedHosts: ['Queue.Example'] })
  const refused = [
    'evil.example',
    'localhost.evil.example',
    'user@localhost',
    'localhost:80:80',
    '127.0.0.1.evil.example'
  ]
  for (const host of refused) {
    const answer = await rawRequest(port, live([`host: ${host}`]))
    t.is(answer.status, 421, host)
    t.like(JSON.parse(answer.body), { code: 'QUEUE_HOST_REFUSED', status: 421, instance: '/health/live' })
  }
  const taken = [
    'localhost',
    `LOCALHOST:${port}`,
    '127.0.0.1',
    '[::1]:8080',
    '192.0.2.7',
    'queue.example:443',
    'queue.example.'
  ]
  for (const host of taken) t.is((await rawRequest(port, live([`host: ${host}`]))).status, 200, host)
})

test('a request without Host is refused in HTTP/1.1 and taken in HTTP/1.0', async t => {
  const { port } = await startHttp(t)
  const answer = await rawRequest(port, live([]))
  t.is(answer.status, 400)
  t.is((JSON.parse(answer.body) as Problem).code, 'QUEUE_REQUEST_INVALID')
  t.is((await rawRequest(port, live([], '1.0'))).status, 200)
})

test('a page of another origin is refused', async t => {
  const { port } = await startHttp(t, { allowedOrigins: ['https://app.example', 'http://127.0.0.1:3000'] })
  const ask = (origin: string) => rawRequest(port, live([`host: 127.0.0.1:${port}`, `origin: ${origin}`]))
  const refused = [
    'https://evil.example',
    'http://app.example',
    'https://app.example.evil.example',
    'https://app.example:8443',
    `http://localhost:${port}`,
    `http://127.0.0.1:${port === 1024 ? 1025 : 1024}`,
    'http://127.0.0.1',
    'null',
    ''
  ]
  for (const origin of refused) {
    const answer = await ask(origin)
    t.is(answer.status, 403, origin)
    t.is((JSON.parse(answer.body) as Problem).code, 'QUEUE_ORIGIN_REFUSED')
    t.false(answer.headers.has('access-control-allow-origin'))
  }
  for (const origin of [
    `http://127.0.0.1:${port}`,
    'https://app.example',
    'HTTPS://app.example:443',
    'http://127.0.0.1:3000'
  ]) {
    const answer = await ask(origin)
    t.is(answer.status, 200, origin)
    t.is(answer.headers.get('access-control-allow-origin'), origin)
    t.is(answer.headers.get('vary'), 'origin')
  }
})

test('the own origin holds behind a proxy that ends TLS', t => {
  const guard = createGuard({ allowedHosts: ['queue.example'], allowedOrigins: [] })
  const request = (origin: string) =>
    ({ httpVersion: '1.1', headers: { host: 'queue.example', origin } }) as Parameters<typeof guard>[0]
  t.notThrows(() => guard(request('https://queue.example')))
  t.throws(() => guard(request('https://other.example')), { message: /allowedOrigins/ })
})

test('a host or an origin that is none is refused at the start', t => {
  const cases = [
    { allowedHosts: ['http://a.example'], allowedOrigins: [] },
    { allowedHosts: [], allowedOrigins: ['a.example'] },
    { allowedHosts: [], allowedOrigins: ['https://a.example/path'] }
  ]
  for (const options of cases) {
    const error = t.throws(() => createGuard(options), { instanceOf: QueueError })
    t.is(error?.code, 'QUEUE_CONFIG_INVALID')
  }
})
