import test from 'ava'
import { MongoServerError } from 'mongodb'
import { type Clock, systemClock, type Timer } from '../../src/clock.ts'
import { EXIT } from '../../src/commands/command.ts'
import { laneOf } from '../../src/lane.ts'
import { range } from '../../test/helpers/batches.ts'
import { aloneStore } from '../../test/helpers/mongo-store.ts'
import { mongodbOfFile } from '../../test/helpers/mongodb.ts'
import { MongodbProxy, targetOf, throughProxy } from '../../test/helpers/mongodb-proxy.ts'
import { runCommand } from '../../test/helpers/process.ts'
import { TcpProxy } from '../../test/helpers/tcp-proxy.ts'
import { makeClusterPart } from './cluster/index.ts'
import { failureOf, isOfLogin } from './database.ts'

const mongodb = mongodbOfFile(test)

test.serial(
  'a start whose first attempt to connect fails goes on when the database can be reached',
  async t => {
    const url = mongodb.database(t)
    if (!url) return
    const proxy = await TcpProxy.start(t, targetOf(url))
    proxy.refuse()
    const { store, log } = aloneStore(throughProxy(url, proxy.port))
    const opened = store.open()
    t.teardown(() => store.close())
    while (!log.texts('warn').some(text => /tried again/.test(text)))
      await new Promise(resolve => setImmediate(resolve))
    await proxy.resume()
    t.is((await opened).lastStop, 'new')
    t.is(store.problem, null)
    t.false(JSON.stringify(log.lines).includes('Topology is closed'))
  }
)

test.serial('a start beside another that has just marked the empty database goes on', async t => {
  const url = mongodb.database(t)
  if (!url) return
  const proxy = await MongodbProxy.start(t, targetOf(url))
  const fault = { kind: 'error', code: 11_000 } as const
  const injection = proxy.inject({ collection: 'restante_meta', fault })
  const { store } = aloneStore(throughProxy(url, proxy.port))
  t.teardown(() => store.close())
  t.is((await store.open()).lastStop, 'new')
  t.true(injection.hasHappened)
})

test.serial('five brokers start at once on an empty database', async t => {
  const url = mongodb.database(t)
  if (!url) return
  const opened = range(1, 5).map(async n => {
    const { store } = aloneStore(url, { brokerName: `b${n}`, makeClusterPart })
    t.teardown(() => store.close())
    return await store.open()
  })
  const contents = await Promise.all(opened)
  t.deepEqual(contents.map(({ laneIndex }) => laneIndex).sort(), [0, 1, 2, 3, 4])
  for (const { nextSequence, laneIndex } of contents) t.is(laneOf(nextSequence), laneIndex ?? -1)
})

test.serial('a start that the database refuses says what it says, and not that it is not there', async t => {
  const url = mongodb.database(t)
  if (!url) return
  const proxy = await MongodbProxy.start(t, targetOf(url))
  const messageOf = async (code: number) => {
    proxy.inject({ collection: 'restante_meta', fault: { kind: 'error', code } })
    const { store } = aloneStore(throughProxy(url, proxy.port), { storeTimeoutMs: 1 })
    return (await t.throwsAsync(store.open(), { code: 'QUEUE_STORE_AWAY' }))?.message ?? ''
  }
  t.regex(await messageOf(73), /refuses: injected: (?!.*password)/)
  t.regex(await messageOf(14_031), /has no room: injected/)
  t.regex(await messageOf(11_602), /not ready within 1 ms: injected: InterruptedDueToReplStateChange/)
})

test.serial('a login that the database refuses ends the start at once, with what to look at', async t => {
  const url = mongodb.database(t)
  if (!url) return
  const nobody = url.replace(/^(mongodb:\/\/)(?:[^@/]*@)?/, '$1nobody:wrong@')
  const { store, log } = aloneStore(nobody, { storeTimeoutMs: 600_000 })
  const error = await t.throwsAsync(store.open(), { code: 'QUEUE_STORE_LOGIN_REFUSED' })
  t.regex(
    error?.message ?? '',
    /^the store does not let this server in \(MongoDB at mongodb:\/\/nobody:\*\*\*@/
  )
  t.regex(error?.message ?? '', /: look at the user, the password and the rights in mongodbUrl$/)
  t.deepEqual(log.texts('warn'), [])
  const words = [
    'start',
    '--store',
    'mongodb',
    '--mongodb-url',
    nobody,
    '--mqtt-port',
    '0',
    '--http-port',
    '0'
  ]
  const program = await runCommand(t, words)
  t.is(program.exit?.code, EXIT.usage, program.story())
  t.regex(program.stderr, /^restante: the store does not let this server in .* in mongodbUrl$/ms)
})

test('what a hosted MongoDB says in words only is a refused login, or want of space, or may pass', t => {
  const said = (errmsg: string) => {
    const error = new MongoServerError({ message: errmsg, code: 8_000 })
    return [failureOf(error).kind, isOfLogin(error)]
  }
  t.deepEqual(said('bad auth : Authentication failed.'), ['refused', true])
  t.deepEqual(said('user is not allowed to do action [find] on [db.x]'), ['refused', true])
  t.deepEqual(said('you are over your space quota'), ['full', false])
  t.deepEqual(said('connection pool is busy'), ['unknown', false])
})

test.serial('a right that the user does not have ends the start wherever it is missed', async t => {
  const url = mongodb.database(t)
  if (!url) return
  const proxy = await MongodbProxy.start(t, targetOf(url))
  for (const collection of ['meta', 'brokers', 'changes', 'notes', 'messages', 'retained', 'sessions']) {
    const fault = { kind: 'error', code: 13 } as const
    const injection = proxy.inject({ collection: `restante_${collection}`, fault })
    const { store } = aloneStore(throughProxy(url, proxy.port), {
      ...{ brokerName: collection, makeClusterPart, storeTimeoutMs: 600_000 }
    })
    await t.throwsAsync(store.open(), { code: 'QUEUE_STORE_LOGIN_REFUSED', message: /injected/ }, collection)
    t.true(injection.hasHappened)
  }
})

test.serial('a store that is closed without having been started sends no sign of life any more', async t => {
  const url = mongodb.database(t)
  if (!url) return
  const running = new Set<Timer>()
  const clock: Clock = {
    ...systemClock,
    every(ms, tick) {
      const timer = systemClock.every(ms, tick)
      running.add(timer)
      return {
        cancel() {
          running.delete(timer)
          timer.cancel()
        }
      }
    }
  }
  const { store } = aloneStore(url, { clock, makeClusterPart })
  await store.open()
  t.is(running.size, 1)
  await store.close()
  t.is(running.size, 0)
})
