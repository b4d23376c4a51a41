import test from 'ava'
import fc from 'fast-check'
import { step } from '../helpers/delivery-steps.ts'
import { DeliveryWorld } from '../helpers/delivery-world.ts'

const runs = Number(process.env.RESTANTE_TEST_RUNS ?? 40)
const seed = Number(process.env.RESTANTE_TEST_SEED ?? Date.now() % 2 ** 31)

test('what is owed comes, with QoS 2 once, in order, within the window, whatever is acked, cut, killed or taken over', async t => {
  t.log(`RESTANTE_TEST_SEED=${seed} RESTANTE_TEST_RUNS=${runs}`)
  const property = fc.asyncProperty(
    fc.array(step, { minLength: 1, maxLength: 100, size: 'max' }),
    async steps => {
      const world = new DeliveryWorld(t)
      await world.start()
      for (const one of steps) await world.run(one)
      await world.finish()
    }
  )
  const result = await fc.check(property, { numRuns: runs, seed })
  t.false(
    result.failed,
    `${fc.defaultReportMessage(result)}\n${String((result as { errorInstance?: unknown }).errorInstance)}`
  )
})
