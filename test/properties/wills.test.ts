import test from 'ava'
import fc from 'fast-check'
import { type Leaving, type WillSpec, WillsWorld } from '../helpers/wills-world.ts'

const runs = Number(process.env.RESTANTE_TEST_RUNS ?? 60)
const seed = Number(process.env.RESTANTE_TEST_SEED ?? Date.now() % 2 ** 31)

const is = <const Name extends string>(...names: readonly Name[]) => fc.constantFrom(...names)
const client = fc.nat(1)
const spec: fc.Arbitrary<WillSpec> = fc.record({
  qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
  delaySeconds: fc.constantFrom(0, 1, 5, 60),
  isRetained: fc.boolean()
})
const leaving: fc.Arbitrary<Leaving> = is('goodbye', 'withWill', 'cut')
const crash = fc.record({ isPowerCut: fc.boolean(), keptWrites: fc.nat(4), arrived: fc.nat(4) })
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: is('connect'), client, spec, isClean: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: is('leave'), client, leaving }) },
  { weight: 2, arbitrary: fc.record({ do: is('pass'), seconds: fc.constantFrom(1, 2, 4, 60) }) },
  { weight: 1, arbitrary: fc.record({ do: is('settle') }) },
  { weight: 2, arbitrary: fc.record({ do: is('crash'), crash }) },
  {
    weight: 3,
    arbitrary: fc.record({
      ...{ do: is('crashDuring'), client, what: fc.oneof(leaving, spec), turns: fc.nat(12), crash }
    })
  }
)

test('a will is sent exactly once over kills at any step, and not at all after a goodbye or a return in time', async t => {
  t.timeout(60_000 + runs * 5_000)
  t.log(`RESTANTE_TEST_SEED=${seed} RESTANTE_TEST_RUNS=${runs}`)
  const property = fc.asyncProperty(
    fc.array(step, { minLength: 1, maxLength: 30, size: 'max' }),
    async steps => {
      const world = new WillsWorld(t)
      await world.start()
      for (const one of steps) {
        if (one.do === 'connect') await world.connect(one.client, one.spec, one.isClean)
        else if (one.do === 'leave') await world.leave(one.client, one.leaving)
        else if (one.do === 'pass') await world.pass(one.seconds)
        else if (one.do === 'settle') await world.settle()
        else if (one.do === 'crash') await world.crash(one.crash)
        else await world.crashDuring(one.client, one.what, one.turns, one.crash)
      }
      const problems = await world.finish()
      if (problems.length > 0) throw new Error(problems.join('\n'))
    }
  )
  const result = await fc.check(property, { numRuns: runs, seed })
  const cause = String((result as { errorInstance?: unknown }).errorInstance)
  t.false(result.failed, `${fc.defaultReportMessage(result)}\n${cause}`)
})
