import test from 'ava'
import type { Clock } from '../src/clock.ts'
import { askAtLast } from '../src/cluster/asking.ts'

/** Time that passes as fast as it is waited for. */
function fastClock(waited: number[]): Clock {
  const timer = { cancel() {} }
  const after: Clock['after'] = (delayMs, callback) => {
    waited.push(delayMs)
    setImmediate(callback)
    return timer
  }
  return { now: () => 0, after, every: () => timer }
}

test('a store that does not answer is asked again after a pause, and each failure is told', async t => {
  const waited: number[] = []
  const told: unknown[] = []
  let asked = 0
  const ask = async () => {
    if (++asked < 4) throw new Error(`away ${asked}`)
    return asked
  }
  const answer = await askAtLast(ask, fastClock(waited), error => told.push(`${error}`))
  t.is(answer, 4)
  t.deepEqual(told, ['Error: away 1', 'Error: away 2', 'Error: away 3'])
  t.is(waited.length, 3)
  t.true(waited.every(ms => ms > 0))
})

test('a failure that will not pass ends the asking', async t => {
  const waited: number[] = []
  const ask = () => Promise.reject(new Error('away'))
  const final = (error: unknown) => {
    throw new Error('stopped', { cause: error })
  }
  await t.throwsAsync(askAtLast(ask, fastClock(waited), final), { message: 'stopped' })
  t.deepEqual(waited, [])
})
