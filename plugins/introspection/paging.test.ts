import { setImmediate } from 'node:timers/promises'
import test from 'ava'
import type { FastifyInstance } from 'fastify'
import { filterReachesQueue } from '../../src/plugin.ts'
import { FakeDirectory, mountPlugin } from '../../test/helpers/http-directory.ts'
import { testRandom, testRuns } from '../../test/helpers/tools-random.ts'
import { introspection } from './index.ts'

async function start() {
  const directory = new FakeDirectory()
  return { directory, app: await mountPlugin(introspection, directory) }
}

/** All ids of a list, page by page; `between` is called after each page. */
async function walk(app: FastifyInstance, limit: number, between = () => {}): Promise<string[]> {
  const ids: string[] = []
  let cursor: string | null = null
  do {
    const query: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const page = (await app.inject(`/v1/sessions?limit=${limit}${query}`)).json()
    ids.push(...page.sessions.map(({ id }: { id: string }) => id))
    cursor = page.next
    between()
  } while (cursor !== null)
  return ids
}

test('a walk over the pages visits each id once and in order while others come and go', async t => {
  const random = testRandom(t)
  for (let run = 0; run < testRuns(20); run++) {
    const { directory, app } = await start()
    const stays = Array.from(
      { length: random.below(60) },
      (_, i) => `${['', 'é', '☃', '😀', '/'][i % 5]}${random.below(1e6)}`
    )
    const goes = Array.from(
      { length: 40 },
      () => `${['', 'é', '☃', '😀'][random.below(4)]}go${random.below(1e6)}`
    )
    for (const id of [...stays, ...goes]) directory.addSession(id)
    const ids = await walk(app, 1 + random.below(12), () => {
      for (let i = 0; i < 4; i++) {
        const id = goes[random.below(goes.length)]!
        if (!directory.sessionMap.delete(id)) directory.addSession(id)
      }
    })
    t.is(new Set(ids).size, ids.length, 'twice')
    t.deepEqual(ids, [...ids].sort())
    const visited = new Set(ids)
    for (const id of stays) t.true(visited.has(id), id)
  }
})

test('a page has the asked number of entries, and its cursor is null at the end', async t => {
  const { directory, app } = await start()
  for (let i = 0; i < 250; i++) directory.addSession(`s${i}`)
  const sizes = async (url: string) => {
    const page = (await app.inject(url)).json()
    return [page.sessions.length, page.next === null]
  }
  t.deepEqual(await sizes('/v1/sessions'), [100, false])
  t.deepEqual(await sizes('/v1/sessions?limit=249'), [249, false])
  t.deepEqual(await sizes('/v1/sessions?limit=250'), [250, true])
  t.deepEqual(await sizes('/v1/sessions?limit=1000'), [250, true])
})

test('a bad limit or cursor is refused', async t => {
  const { app } = await start()
  const bad = [
    'limit=0',
    'limit=1001',
    'limit=x',
    'limit=',
    'limit=1.5',
    'limit=1&limit=2',
    'cursor=',
    'cursor=*'
  ]
  for (const list of ['clients', 'sessions', 'queues', 'subscriptions']) {
    for (const query of [...bad, 'cursor=YQ==', 'cursor=_w', 'cursor=a']) {
      t.is((await app.inject(`/v1/${list}?${query}`)).statusCode, 400, `${list}?${query}`)
    }
  }
})

test('only sessions of the page are asked for their backlog', async t => {
  const { directory, app } = await start()
  for (let i = 0; i < 500; i++) directory.addSession(`s${i}`)
  await app.inject('/v1/sessions?limit=7')
  t.is(directory.backlogReads, 7)
})

test('a page of sessions with very many subscriptions ends before its limit', async t => {
  const { directory, app } = await start()
  const filters = Array.from({ length: 4_000 }, (_, i) => `q${i}/e`)
  for (let i = 0; i < 7; i++) directory.addSession(`s${i}`, { filters })
  const page = (await app.inject('/v1/sessions')).json()
  t.is(page.sessions.length, 3)
  t.not(page.next, null)
  t.is((await walk(app, 100)).length, 7)
})

test('a long list lets other work run while it is read', async t => {
  const { directory, app } = await start()
  for (let i = 0; i < 50_000; i++) directory.addSession(`s${i}`, i % 5 === 0 ? { filters: ['#'] } : {})
  for (const url of ['/v1/sessions', '/v1/queues', '/v1/subscriptions', '/v1/queues/none']) {
    let isDone = false
    let turns = 0
    const answer = app.inject(url).finally(() => {
      isDone = true
    })
    while (!isDone) {
      await setImmediate()
      turns++
    }
    await answer
    t.true(turns >= 45, `${url}: ${turns} turns`)
  }
})

test('attached sessions of a queue are those with a filter that reaches it', async t => {
  const random = testRandom(t)
  const levels = ['a', 'b', '$c', '$d', '+', '#', '']
  for (let run = 0; run < testRuns(20); run++) {
    const { directory, app } = await start()
    const sessions = Array.from({ length: 12 }, (_, i) => {
      const filters = Array.from({ length: random.below(4) }, () => levels[random.below(levels.length)]!).map(
        level => (level === '#' ? '#' : `${level}/x`)
      )
      return { id: `s${i}`, filters, isConnected: random.below(2) === 0 }
    })
    for (const { id, ...parts } of sessions) directory.addSession(id, parts)
    for (const queue of ['a', 'b', '$c', '$d', '']) directory.topicMap.set(`${queue}/x`, 1)
    const { queues } = (await app.inject('/v1/queues')).json()
    for (const { queue, attached, connected } of queues) {
      const reach = sessions.filter(({ filters }) =>
        filters.some(filter => filterReachesQueue(filter, queue))
      )
      t.is(attached, reach.length, `${queue} of ${JSON.stringify(sessions)}`)
      t.is(connected, reach.filter(({ isConnected }) => isConnected).length)
    }
  }
})
