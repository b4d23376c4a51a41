import { createServer } from 'node:http'
import test, { type ExecutionContext } from 'ava'
import { runCommand } from './helpers/cli-process.ts'

const client = {
  id: 'dash board',
  address: '127.0.0.1:5000',
  transport: 'websocket',
  protocol: '3.1.1',
  connectedAt: new Date().toISOString(),
  keepAliveSeconds: 60,
  persistent: false,
  queues: ['DB', '+'],
  receivedBytes: 12,
  sentBytes: 1_500_000,
  dropped: 3
}
const subscription = {
  client: 'logger',
  filter: 'DB/CREATE',
  queue: 'DB',
  event: 'CREATE',
  qos: 1,
  connected: false,
  createdAt: new Date().toISOString()
}

test('clients are shown as a table', async t => {
  const { base } = await startFakeHttp(t, { '/v1/clients': { clients: [client], next: null } })
  const { code, stdout } = await runCommand(t, ['clients', '--http', base])
  t.is(code, 0)
  const [head, line] = stdout.split('\n')
  t.regex(head ?? '', /^CLIENT +ADDRESS +TRANSPORT +MQTT +SESSION +QUEUES +CONNECTED +IN +OUT +DROPPED$/)
  t.regex(
    line ?? '',
    /^dash board +127\.0\.0\.1:5000 +websocket +3\.1\.1 +clean +DB, \+ +\d+ s +12 B +1\.5 MB +3$/
  )
})

test('subscriptions are shown as a table', async t => {
  const { base } = await startFakeHttp(t, {
    '/v1/subscriptions': { subscriptions: [subscription], next: null }
  })
  const { stdout } = await runCommand(t, ['subscriptions'], { env: { RESTANTE_HTTP_URL: base } })
  t.regex(stdout, /^logger +DB +CREATE +1 +no +\d+ s$/m)
})

test('a list is read to its end, and its pages are printed as one', async t => {
  const second = { ...client, id: 'second' }
  const { base, requests } = await startFakeHttp(t, {
    '/v1/clients': { clients: [client], next: 'a/b+c' },
    '/v1/clients a/b+c': { clients: [second], next: null }
  })
  const { stdout } = await runCommand(t, ['clients', '--json', '--http', base])
  t.deepEqual(JSON.parse(stdout), { clients: [client, second], next: null })
  t.is(requests.length, 2)
})

for (const [name, text] of [
  ['clients', /^No client is connected\.\n$/],
  ['sessions', /^There is no session\./],
  ['queues', /^There is no queue yet/],
  ['subscriptions', /^There is no subscription\.\n$/]
] as const) {
  test(`an empty list of ${name} is told in words`, async t => {
    const { base } = await startFakeHttp(t, { [`/v1/${name}`]: { [name]: [], next: null } })
    const { code, stdout } = await runCommand(t, [name, '--http', base])
    t.is(code, 0)
    t.regex(stdout, text)
  })
}

test('a session is asked for by its encoded id', async t => {
  const { base, requests } = await startFakeHttp(t, { '/v1/sessions/a%2Fb%20c': { id: 'a/b c' } })
  const { code, stdout } = await runCommand(t, ['sessions', 'a/b c', '--json', '--http', `${base}/`])
  t.is(code, 0)
  t.deepEqual(JSON.parse(stdout), { id: 'a/b c' })
  t.deepEqual(requests, ['/v1/sessions/a%2Fb%20c'])
})

test('the words of a refusing server are shown', async t => {
  const { base } = await startFakeHttp(t, {})
  const { code, stderr } = await runCommand(t, ['sessions', 'nobody', '--http', base])
  t.deepEqual([code, stderr], [1, 'restante: there is nothing at /v1/sessions/nobody (HTTP status 404)\n'])
})

test('a server of another kind is told apart', async t => {
  const { base } = await startFakeHttp(t, { '/v1/clients': 'welcome', '/v1/queues': { list: [] } })
  for (const name of ['clients', 'queues']) {
    const { code, stderr } = await runCommand(t, [name, '--http', base])
    t.is(code, 1)
    t.regex(stderr, /is it a Restante server\?\n$/)
  }
})

test('a server that is not there is told with the way to start one', async t => {
  const { base } = await startFakeHttp(t, {})
  const elsewhere = base.replace('127.0.0.1', '127.0.0.2')
  const { code, stderr } = await runCommand(t, ['queues', '--http', elsewhere])
  t.is(code, 1)
  t.is(
    stderr,
    `restante: nothing listens at ${elsewhere}: start a server with "restante start", or name another with --http\n`
  )
})

/** Answers by path, or by path and cursor, and with problem details to everything else. */
async function startFakeHttp(t: ExecutionContext, answers: Readonly<Record<string, unknown>>) {
  const requests: string[] = []
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
    requests.push(pathname)
    const cursor = searchParams.get('cursor')
    const answer = answers[cursor === null ? pathname : `${pathname} ${cursor}`]
    if (answer === undefined) response.writeHead(404, { 'content-type': 'application/problem+json' })
    const problem = { title: 'Not Found', detail: `there is nothing at ${pathname}` }
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer ?? problem))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as { port: number }
  return { base: `http://127.0.0.1:${port}`, requests }
}
