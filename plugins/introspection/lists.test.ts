import test from 'ava'
import type { FastifyInstance } from 'fastify'
import { FAKE_NOW, FakeDirectory, mountPlugin } from '../../test/helpers/http-directory.ts'
import { testRandom, testRuns } from '../../test/helpers/tools-random.ts'
import { introspection } from './index.ts'
import { topicMatches } from './match.ts'

async function start() {
  const directory = new FakeDirectory()
  const app = await mountPlugin(introspection, directory)
  const ids = async (path: string): Promise<string[]> => {
    const page = (await app.inject(`/v1/${path}`)).json()
    const rows: Record<string, string>[] = page[path.split('?')[0]!]
    return rows.map(row => row.id ?? (row.client ? `${row.client} ${row.filter}` : row.queue!))
  }
  return { directory, app, ids }
}

/** A world with something to tell apart in each list. */
async function startWorld() {
  const world = await start()
  const { directory } = world
  directory.addClient('app-1', { username: 'alice', transport: 'websocket', connectedAt: 30, sentBytes: 5 })
  directory.addClient('app-2', { username: 'bob', connectedAt: 10, lastActivityAt: 500, sentBytes: 50 })
  directory.addClient('dash', { isPersistent: false, connectedAt: 20, lastActivityAt: 400, sentBytes: 7 })
  directory.addSession('app-1', {
    ...{ filters: ['DB/#', 'MAIL/x'], backlog: 7, inflight: 2, isConnected: true, state: 'inflight-full' },
    ...{ oldestAt: FAKE_NOW - 5_000, createdAt: 3, lastActivityAt: 9 }
  })
  directory.addSession('app-2', {
    ...{ filters: ['+/x'], backlog: 0, isConnected: true, state: 'caught-up', createdAt: 1 },
    ...{ lastActivityAt: 8 }
  })
  directory.addSession('dash', {
    filters: ['$SYS/#'],
    isConnected: true,
    isPersistent: false,
    state: 'ready'
  })
  directory.addSession('logger', {
    filters: ['DB/CREATE'],
    backlog: 90,
    oldestAt: FAKE_NOW - 90,
    createdAt: 2
  })
  directory.topicMap.set('DB/CREATE', 10).set('MAIL/x', 20).set('$SYS/y', 1)
  return world
}

const LISTS: readonly (readonly [path: string, ids: readonly string[]])[] = [
  ['clients?prefix=app', ['app-1', 'app-2']],
  ['clients?username=bob', ['app-2']],
  ['clients?transport=websocket', ['app-1']],
  ['clients?persistent=false', ['dash']],
  ['clients?queue=DB', ['app-1', 'app-2']],
  ['clients?queue=$SYS', ['dash']],
  ['clients?queue=DB&username=alice', ['app-1']],
  ['clients?order=desc', ['dash', 'app-2', 'app-1']],
  ['clients?sort=connectedAt', ['app-1', 'dash', 'app-2']],
  ['clients?sort=lastActivityAt&order=asc', ['dash', 'app-2', 'app-1']],
  ['clients?sort=sentBytes', ['app-2', 'dash', 'app-1']],
  ['sessions?connected=false', ['logger']],
  ['sessions?persistent=false', ['dash']],
  ['sessions?state=caught-up', ['app-2']],
  ['sessions?queue=DB', ['app-1', 'app-2', 'logger']],
  ['sessions?queue=MAIL&connected=true', ['app-1', 'app-2']],
  ['sessions?minBacklog=7', ['app-1', 'logger']],
  ['sessions?minBacklog=8', ['logger']],
  ['sessions?minInflight=1', ['app-1']],
  ['sessions?minOldestAgeMs=90', ['app-1', 'logger']],
  ['sessions?minOldestAgeMs=91', ['app-1']],
  ['sessions?prefix=lo', ['logger']],
  ['sessions?sort=backlog', ['logger', 'app-1', 'app-2', 'dash']],
  ['sessions?sort=backlog&order=asc', ['app-2', 'dash', 'app-1', 'logger']],
  ['sessions?sort=oldest', ['app-1', 'logger', 'app-2', 'dash']],
  ['sessions?sort=oldest&order=desc', ['logger', 'app-1', 'app-2', 'dash']],
  ['sessions?sort=inflight&limit=1', ['app-1']],
  ['sessions?sort=lastActivityAt', ['app-1', 'app-2', 'dash', 'logger']],
  ['sessions?sort=createdAt&order=asc&persistent=true', ['app-2', 'logger', 'app-1']],
  ['subscriptions?client=app-1', ['app-1 DB/#', 'app-1 MAIL/x']],
  ['subscriptions?client=nobody', []],
  ['subscriptions?filter=DB/%23', ['app-1 DB/#']],
  ['subscriptions?queue=DB', ['app-1 DB/#', 'app-2 +/x', 'logger DB/CREATE']],
  ['subscriptions?matches=DB/CREATE', ['app-1 DB/#', 'logger DB/CREATE']],
  ['subscriptions?matches=MAIL/x', ['app-1 MAIL/x', 'app-2 +/x']],
  ['subscriptions?matches=$SYS/x', ['dash $SYS/#']],
  ['subscriptions?connected=false', ['logger DB/CREATE']],
  ['queues?prefix=D', ['DB']],
  ['queues?minBacklog=1', ['DB', 'MAIL']],
  ['queues?sort=backlog', ['DB', 'MAIL', '$SYS']],
  ['queues?sort=accepted', ['MAIL', 'DB', '$SYS']],
  ['queues?sort=attached', ['DB', 'MAIL', '$SYS']],
  ['queues?sort=accepted&order=asc&limit=2', ['$SYS', 'DB']]
]

for (const list of ['clients', 'sessions', 'subscriptions', 'queues']) {
  test(`${list} are filtered and sorted as asked`, async t => {
    const { directory, ids } = await startWorld()
    if (list === 'queues') {
      directory.addSession('app-1', { filters: ['DB/#', 'MAIL/x'], backlogs: { DB: 5, MAIL: 2 } })
    }
    for (const [path, wanted] of LISTS) {
      if (path.startsWith(list)) t.deepEqual(await ids(path), wanted, path)
    }
  })
}

test('a filter or order that is not known is refused, with what is allowed', async t => {
  const { app } = await start()
  const bad = [
    ...['clients?sort=backlog', 'clients?order=up', 'clients?transport=udp', 'clients?nobody=1'],
    ...['sessions?connected=perhaps', 'sessions?state=asleep', 'sessions?minBacklog=-1', 'sessions?sort=x'],
    ...['subscriptions?matches=DB/%23', 'subscriptions?matches=', 'queues?sort=connectedAt', 'queues?x=1']
  ]
  for (const path of bad) t.is((await app.inject(`/v1/${path}`)).statusCode, 400, path)
})

test('a cursor is refused for another order than its own', async t => {
  const { directory, app } = await start()
  for (const id of ['a', 'b', 'c']) directory.addSession(id)
  const { next } = (await app.inject('/v1/sessions?limit=1&sort=backlog')).json()
  t.is((await app.inject(`/v1/sessions?limit=1&sort=backlog&cursor=${next}`)).statusCode, 200)
  for (const other of ['', 'sort=inflight&', 'sort=backlog&order=asc&']) {
    const response = await app.inject(`/v1/sessions?${other}cursor=${next}`)
    t.is(response.statusCode, 400, other)
    t.regex(response.json().message, /sort=backlog&order=desc/)
  }
})

/** Ids of all pages; `between` is called after each. */
async function walk(app: FastifyInstance, query: string, between = () => {}): Promise<string[]> {
  const ids: string[] = []
  for (let cursor = ''; ; between()) {
    const page = (await app.inject(`/v1/sessions?${query}${cursor}`)).json()
    ids.push(...page.sessions.map(({ id }: { id: string }) => id))
    if (page.next === null) return ids
    cursor = `&cursor=${page.next}`
  }
}

test('a walk sorted by backlog visits whoever stays once, in order, while others come, go and change', async t => {
  const random = testRandom(t)
  for (let run = 0; run < testRuns(20); run++) {
    const { directory, app } = await start()
    const order = random.below(2) === 0 ? 'asc' : 'desc'
    const stays = new Map<string, number>()
    for (let i = random.below(50); i > 0; i--) stays.set(`stays ${i}`, random.below(6))
    for (const [id, backlog] of stays) directory.addSession(id, { backlog })
    const ids = await walk(app, `sort=backlog&order=${order}&limit=${1 + random.below(9)}`, () => {
      for (let i = 0; i < 5; i++)
        directory.addSession(`moves ${random.below(20)}`, { backlog: random.below(6) })
      directory.sessionMap.delete(`moves ${random.below(20)}`)
    })
    const sign = order === 'asc' ? 1 : -1
    const wanted = [...stays].sort(([a, m], [b, n]) => sign * (m - n) || (a < b ? -1 : 1)).map(([id]) => id)
    t.deepEqual(
      ids.filter(id => stays.has(id)),
      wanted
    )
  }
})

test('sessions without an oldest message stand at the end, and are paged as well', async t => {
  const { directory, app } = await start()
  for (let i = 0; i < 9; i++)
    directory.addSession(`s${i}`, { oldestAt: i % 3 === 0 ? FAKE_NOW - i : null, backlog: 1 })
  t.deepEqual(await walk(app, 'sort=oldest&limit=2'), ['s6', 's3', 's0', 's1', 's2', 's4', 's5', 's7', 's8'])
})

test('a topic matches filters as MQTT says', t => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['DB/CREATE', 'DB/CREATE', true],
    ['DB/CREATE', 'DB', false],
    ['DB', 'DB/CREATE', false],
    ['DB/#', 'DB', true],
    ['DB/#', 'DB/a/b', true],
    ['DB/+', 'DB', false],
    ['DB/+', 'DB/', true],
    ['+/+', '/x', true],
    ['+', '/x', false],
    ['#', 'a/b', true],
    ['#', '$SYS/x', false],
    ['+/x', '$SYS/x', false],
    ['$SYS/+', '$SYS/x', true]
  ]
  for (const [filter, topic, does] of cases) t.is(topicMatches(filter, topic), does, `${filter} ${topic}`)
})

test('events of a queue are paged, sorted by name or by figures', async t => {
  const { directory, app } = await start()
  for (let i = 0; i < 5; i++) directory.topicMap.set(`DB/e${i}`, 10 - i)
  directory.topicMap.set('DB', 1).set('MAIL/x', 1)
  directory.topicParts.set('DB/e3', { recentMessages: 10 })
  const page = async (query: string) => (await app.inject(`/v1/queues/DB/events?${query}`)).json()
  const names = ({ events }: { events: { event: string }[] }) => events.map(({ event }) => event)
  const first = await page('limit=4')
  t.deepEqual(names(first), ['', 'e0', 'e1', 'e2'])
  t.deepEqual(names(await page(`limit=4&cursor=${first.next}`)), ['e3', 'e4'])
  t.deepEqual(names(await page('sort=accepted')), ['e0', 'e1', 'e2', 'e3', 'e4', ''])
  t.like(await page('sort=rate&limit=1'), {
    events: [{ event: 'e3', topic: 'DB/e3', accepted: 7, ratePerSecond: 0.167 }]
  })
  t.is((await app.inject('/v1/queues/none/events')).statusCode, 404)
})
