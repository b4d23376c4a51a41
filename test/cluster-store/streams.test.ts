import test from 'ava'
import { range } from '../helpers/batches.ts'
import { clusterTests } from './scene.ts'

const cluster = clusterTests(test)

cluster('three brokers that ask for the same filters at once get one id for each', async (t, scene) => {
  const brokers = await Promise.all(['a', 'b', 'c'].map(name => scene.broker(name, { isIdle: true })))
  const filters = range(1, 12).map(n => `DB/${n}/#`)
  const asked = range(0, 19).map(n => {
    const some = filters.filter((_, place) => (place + n) % 3 !== 0)
    return brokers[n % 3]!.cluster.streamsOf(n % 2 ? some : some.toReversed())
  })
  const ids = new Map<string, Set<number>>()
  for (const rows of await Promise.all(asked)) {
    for (const { filter, streamId } of rows) ids.set(filter, (ids.get(filter) ?? new Set()).add(streamId))
  }
  t.deepEqual(
    [...ids.values()].map(({ size }) => size),
    filters.map(() => 1)
  )
  t.deepEqual(
    [...ids.values()].flatMap(set => [...set]).sort((a, b) => a - b),
    range(1, 12)
  )
})

cluster(
  'new streams are told to each broker once, and none is missed while others make more',
  async (t, scene) => {
    const [a, b, c] = await scene.brokers(['a', 'b', 'c'], { isIdle: true })
    const told: number[] = []
    const known = new Set<number>()
    const make = async (broker: typeof a, prefix: string) => {
      for (const n of range(1, 25)) {
        const [row] = await broker.cluster.streamsOf([`${prefix}/${n}`])
        known.add(row!.streamId)
      }
    }
    let isMaking = true
    const making = Promise.all([make(a, 'a'), make(b, 'b')]).finally(() => {
      isMaking = false
    })
    while (isMaking) {
      const before = [...known] // their makers were answered before this read begins
      told.push(...(await c.cluster.newStreams()).map(({ streamId }) => streamId))
      t.true(before.every(id => told.includes(id)))
    }
    await making
    told.push(...(await c.cluster.newStreams()).map(({ streamId }) => streamId))
    t.deepEqual(told, range(1, 50))
  }
)

cluster('streams that are there at open are not told as new', async (t, scene) => {
  const a = await scene.broker('a', { isIdle: true })
  await a.cluster.streamsOf(['x', 'y'])
  const b = await scene.broker('b', { isIdle: true })
  t.deepEqual(b.contents.streams.map(({ filter }) => filter).sort(), ['x', 'y'])
  t.deepEqual(await b.cluster.newStreams(), [])
  await a.cluster.streamsOf(['x', 'z'])
  t.deepEqual(
    (await b.cluster.newStreams()).map(({ filter }) => filter),
    ['z']
  )
})
