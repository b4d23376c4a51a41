import { createServer } from 'node:http'
import test, { type ExecutionContext } from 'ava'
import { runCommand } from './helpers/cli-process.ts'

const client = {
  id: 'dash board',
  username: 'alice',
  lastActivityAt: new Date().toISOString(),
  receivedMessages: 1,
  sentMessages: 2,
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
  t.regex(
    head ?? '',
    /^CLIENT +USER +ADDRESS +TRANSPORT +MQTT +SESSION +QUEUES +CONNECTED +IN +OUT +DROPPED$/
  )
  t.regex(
    line ?? '',
    /^dash board +alice +127\.0\.0\.1:5000 +websocket +3\.1\.1 +clean +DB, \+ +\d+ s +12 B +1\.5 MB +3$/
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
  ['sessions', /^There is no such session\./],
  ['queues', /^There is no such queue/],
  ['subscriptions', /^There is no such subscription\.\n$/],
  ['messages', /^No such message is kept\.\n$/]
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

const FLAGS: readonly (readonly [line: string, query: string])[] = [
  [
    'clients --queue DB --durable --transport tcp --username a --prefix b',
    'queue=DB&prefix=b&username=a&transport=tcp&persistent=true'
  ],
  ['clients --clean --sort dropped --order asc', 'persistent=false&sort=dropped&order=asc'],
  ['sessions --away --queue a/b --state offline', 'queue=a/b&connected=false&state=offline'],
  [
    'sessions --connected --min-backlog 5 --min-inflight 2 --min-age 1.5min',
    'connected=true&minBacklog=5&minInflight=2&minOldestAgeMs=90000'
  ],
  ['sessions --sort backlog', 'sort=backlog'],
  ['queues --prefix D --min-backlog 1 --sort rate', 'prefix=D&minBacklog=1&sort=rate'],
  [
    'subscriptions --client c --filter DB/# --queue DB --matches DB/x --away',
    'client=c&filter=DB/#&queue=DB&matches=DB/x&connected=false'
  ],
  [
    'messages --queue DB --event CREATE --publisher p --since 2026-01-02T03:04:05Z',
    'queue=DB&event=CREATE&publisher=p&from=2026-01-02T03:04:05.000Z'
  ],
  ['messages --topic +/x --until 2026-01-02', 'topic=+/x&to=2026-01-02T00:00:00.000Z']
]

test('flags of lists become the query', async t => {
  const empty = { next: null, clients: [], sessions: [], queues: [], subscriptions: [], messages: [] }
  const names = ['clients', 'sessions', 'queues', 'subscriptions', 'messages']
  const { base, queries } = await startFakeHttp(
    t,
    Object.fromEntries(names.map(name => [`/v1/${name}`, empty]))
  )
  for (const [line, query] of FLAGS) {
    const { code, stderr } = await runCommand(t, [...line.split(' '), '--http', base])
    t.is(code, 0, `${line}: ${stderr}`)
    const asked = new URLSearchParams(queries.at(-1))
    asked.delete('limit')
    const wanted = query.split('&').map(pair => pair.split('='))
    t.deepEqual([...asked], wanted as [string, string][], line)
  }
})

test('a flag that takes something else is refused before anything is asked', async t => {
  const { base, requests } = await startFakeHttp(t, {})
  const cases: readonly (readonly [line: string, words: RegExp])[] = [
    ['sessions --min-backlog many', /flag --min-backlog: expected a count such as 100, found "many"/],
    ['sessions --min-age 5', /flag --min-age: expected a duration such as 90s, 5min, 2h or 1d, found "5"/],
    ['sessions --connected --away', /--connected and --away exclude each other/],
    ['sessions --sort size', /Choices: "id", "backlog"/],
    ['sessions --limit 0', /flag --limit: expected an integer from 1/],
    ['sessions --watch logger', /flag --watch: expected seconds from 0\.1 to 86400, found "logger"/],
    ['messages --since yesterday', /flag --since: expected a time such as .*, found "yesterday"/],
    ['messages --status queued', /--status goes with a session/],
    ['messages logger --queue DB', /--queue goes without a session/],
    ['message lane-1:1 --raw --json', /--raw and --json exclude each other/],
    ['attach logger a/#/b', /topic filter "a\/#\/b": has # before its last level/],
    ['attach logger a --qos 3', /flag --qos: expected an integer from 0 to 2/]
  ]
  for (const [line, words] of cases) {
    const { code, stderr } = await runCommand(t, [...line.split(' '), '--http', base])
    t.is(code, 2, line)
    t.regex(stderr, words)
  }
  t.deepEqual(requests, [])
})

test('--limit reads no more than is asked for, and says that there is more', async t => {
  const { base, queries } = await startFakeHttp(t, {
    '/v1/clients': { clients: [client, { ...client, id: 'second' }], next: 'c2' }
  })
  const { stdout } = await runCommand(t, ['clients', '--limit', '2', '--http', base])
  t.deepEqual(queries, ['limit=2'])
  t.regex(stdout, /^… and more: --limit shows them$/m)
  const json = await runCommand(t, ['clients', '--limit', '2', '--json', '--http', base])
  t.like(JSON.parse(json.stdout), { next: 'c2' })
})

test('what ends something asks, and needs --yes where nobody can be asked', async t => {
  const { base, requests } = await startFakeHttp(t, {
    '/v1/sessions/a': { dropped: 1 },
    '/v1/sessions/a/messages': { dropped: 5 }
  })
  for (const name of ['end', 'purge']) {
    const { code, stderr } = await runCommand(t, [name, 'a', '--http', base])
    t.is(code, 2)
    t.regex(stderr, /this cannot be undone, and nobody can be asked here: say --yes\n$/)
  }
  t.deepEqual(requests, [])
  t.is((await runCommand(t, ['end', 'a', '-y', '--http', base])).stdout, 'ended a; 1 message dropped\n')
  t.is(
    (await runCommand(t, ['purge', 'a', '--yes', '--http', base])).stdout,
    'purged a; 5 messages dropped\n'
  )
})

test('a hook that refuses a part is told, with exit code 1', async t => {
  const answer = { subscriptions: [{ filter: 'DB/#', qos: 1 }], refused: ['SECRET'] }
  const { base, bodies } = await startFakeHttp(t, { '/v1/sessions/a/subscriptions': answer })
  const { code, stdout, stderr } = await runCommand(t, ['attach', 'a', 'DB/#', 'SECRET', '--http', base])
  t.deepEqual(
    [code, stdout, stderr],
    [1, 'attached a to DB/# (QoS 1)\n', 'restante: refused by a hook: SECRET\n']
  )
  t.deepEqual(JSON.parse(bodies[0] ?? ''), {
    subscriptions: [
      { filter: 'DB/#', qos: 1 },
      { filter: 'SECRET', qos: 1 }
    ]
  })
})

/** Answers by path, or by path and cursor, and with problem details to everything else. */
async function startFakeHttp(t: ExecutionContext, answers: Readonly<Record<string, unknown>>) {
  const requests: string[] = []
  const queries: string[] = []
  const bodies: string[] = []
  const server = createServer(async (request, response) => {
    for await (const chunk of request) bodies.push(String(chunk))
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
    requests.push(pathname)
    queries.push(searchParams.toString())
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
  return { base: `http://127.0.0.1:${port}`, requests, queries, bodies }
}
