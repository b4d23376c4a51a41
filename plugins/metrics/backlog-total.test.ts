import { setImmediate } from 'node:timers/promises'
import test from 'ava'
import { type Directory, silentLog } from '../../src/plugin.ts'
import { BacklogTotal } from './backlog-total.ts'

/** A world of so many sessions with one message each, whose time only the test moves. */
function world(sessions: number) {
  let now = 1_000
  let late = () => {}
  const state = {
    reads: 0,
    sessions,
    /** What a backlog waits for. */
    gate: Promise.resolve(),
    passTime(byMs: number) {
      now += byMs
    },
    giveUp: () => late()
  }
  const session = {
    async backlog() {
      state.reads++
      await state.gate
      return 1
    }
  }
  const directory = {
    *sessions() {
      for (let i = 0; i < state.sessions; i++) yield session
    }
  } as unknown as Directory
  const idle = { cancel: () => {} }
  const clock = {
    now: () => now,
    after: (_delayMs: number, callback: () => void) => {
      late = callback
      return idle
    },
    every: () => idle
  }
  return { state, total: new BacklogTotal({ directory, clock, log: silentLog }) }
}

test('the backlog of few sessions is counted at each scrape', async t => {
  const { state, total } = world(3)
  t.deepEqual(await total.read(), { messages: 3, countedAt: 1_000 })
  state.sessions = 4
  t.is((await total.read())?.messages, 4)
})

test('the backlog of very many sessions is counted again after 15 seconds', async t => {
  const { state, total } = world(10_001)
  t.is((await total.read())?.messages, 10_001)
  state.sessions = 10_002
  state.passTime(14_999)
  t.deepEqual(await total.read(), { messages: 10_001, countedAt: 1_000 })
  t.is(state.reads, 10_001)
  state.passTime(1)
  t.deepEqual(await total.read(), { messages: 10_002, countedAt: 16_000 })
})

test('a count lets the event loop go again and again, and scrapes at the same time share it', async t => {
  const { state, total } = world(10_000)
  let isDone = false
  const both = Promise.all([total.read(), total.read()]).finally(() => {
    isDone = true
  })
  let turns = 0
  let most = 0
  for (let before = state.reads; !isDone; before = state.reads) {
    await setImmediate()
    turns++
    most = Math.max(most, state.reads - before)
  }
  const [first, second] = await both
  t.deepEqual(first, second)
  t.is(state.reads, 10_000)
  t.true(turns >= 100, `${turns} turns`)
  t.true(most <= 200, `${most} sessions in one turn`)
})

test('a scrape that waits too long gets the total before', async t => {
  const { state, total } = world(2)
  await total.read()
  let open = () => {}
  state.gate = new Promise(resolve => {
    open = resolve
  })
  state.sessions = 5
  const waiting = total.read()
  await setImmediate()
  state.giveUp()
  t.is((await waiting)?.messages, 2)
  open()
  t.is((await total.read())?.messages, 5)
})

test('without any total yet there is none', async t => {
  const { state, total } = world(1)
  state.gate = new Promise(() => {})
  const waiting = total.read()
  await setImmediate()
  state.giveUp()
  t.is(await waiting, null)
})
