import { setImmediate } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { FakeDirectory, mountPlugin } from '../../test/helpers/http-directory.ts'
import { introspection } from './index.ts'

const SESSIONS = 100_000

/** The most that may be looked at in one turn: what a share of a turn allows, and a little over at its end. */
const MOST_LOOKS = 1_100

/** A directory of so many sessions: a tenth with a wildcard, all others spread over a hundred queues. */
function bigDirectory(sessions: number): FakeDirectory {
  const directory = new FakeDirectory()
  for (let i = 0; i < sessions; i++) {
    const filters = i % 10 === 0 ? ['#'] : [`q${i % 100}/CREATE`]
    directory.addSession(`s${i}`, { filters, backlog: i % 7, isConnected: i % 3 === 0 })
    if (i % 50 === 0) directory.addClient(`s${i}`)
  }
  for (let i = 0; i < 100; i++) directory.topicMap.set(`q${i}/CREATE`, i)
  return directory
}

/** Asks, and counts the looks at the directory in each turn of the event loop until the answer. */
async function mostLooks(t: ExecutionContext, directory: FakeDirectory, url: string) {
  const app = await mountPlugin(introspection, directory)
  let isDone = false
  const answer = app.inject(url).finally(() => {
    isDone = true
  })
  let most = 0
  for (let before = directory.looks; !isDone; before = directory.looks) {
    await setImmediate()
    most = Math.max(most, directory.looks - before)
  }
  const response = await answer
  t.is(response.statusCode, 200, response.body)
  return { most, body: response.json() }
}

for (const path of [
  'sessions',
  'sessions?sort=backlog',
  'sessions?minBacklog=6&sort=oldest&limit=1000',
  'sessions?queue=q7&connected=true',
  'clients?queue=q0',
  'subscriptions?matches=q7/CREATE',
  'queues/q7'
]) {
  test(`GET ${path} of ${SESSIONS} sessions takes a small share of each turn`, async t => {
    const directory = bigDirectory(SESSIONS)
    const { most } = await mostLooks(t, directory, `/v1/${path}`)
    t.true(most <= MOST_LOOKS, `${most} looks in one turn`)
  })
}

test('GET queues takes a small share of each turn', async t => {
  const { most, body } = await mostLooks(t, bigDirectory(2_000), '/v1/queues?sort=backlog')
  t.true(most <= MOST_LOOKS, `${most} looks in one turn`)
  t.is(body.queues.length, 100)
})

test('of large backlogs fewer are counted in a turn', async t => {
  const directory = new FakeDirectory()
  for (let i = 0; i < 100; i++) directory.addSession(`s${i}`, { backlog: 5_000 })
  const { most } = await mostLooks(t, directory, '/v1/sessions?sort=backlog&limit=1')
  t.true(most <= 6, `${most} looks in one turn`)
})

test('the session with the largest backlog is found among very many', async t => {
  const directory = bigDirectory(SESSIONS)
  directory.addSession('s77777', { backlog: 1_000 })
  const { body } = await mostLooks(t, directory, '/v1/sessions?sort=backlog&limit=1')
  t.like(body.sessions[0], { id: 's77777', backlog: 1_000 })
})

test('a list that nobody waits for any more is not read on', async t => {
  const directory = bigDirectory(SESSIONS)
  const app = await mountPlugin(introspection, directory)
  t.teardown(() => app.close())
  const address = await app.listen({ port: 0, host: '127.0.0.1' })
  const leaving = new AbortController()
  const answer = fetch(`${address}/v1/sessions?sort=backlog`, { signal: leaving.signal }).catch(() => 'gone')
  while (directory.looks === 0) await setImmediate()
  leaving.abort()
  t.is(await answer, 'gone')
  let before = -1
  while (before !== directory.looks) {
    before = directory.looks
    for (let turns = 0; turns < 20; turns++) await setImmediate()
  }
  t.true(directory.looks < SESSIONS, `${directory.looks} looks`)
})
