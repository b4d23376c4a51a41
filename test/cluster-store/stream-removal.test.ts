import test from 'ava'
import { groundOf } from '../../plugins/store-mongodb/cluster/ground.ts'
import type { Statement } from '../../plugins/store-mongodb/cluster/statement.ts'
import { StreamRemoval } from '../../plugins/store-mongodb/cluster/stream-removal.ts'
import type { ClusterPartOptions } from '../../plugins/store-mongodb/cluster-part.ts'
import { systemClock } from '../../src/clock.ts'
import { LaneMarks } from '../../src/lane.ts'
import { clusterTests, type Scene } from './scene.ts'

const cluster = clusterTests(test)
const MINUTE_MS = 61_000

/** A statement of an owner that lists these streams. */
function said(owner: number, count: number, streams: readonly number[] = []): Statement {
  return {
    id: `${owner}/${count}`,
    owner,
    count,
    heads: new LaneMarks(),
    streams: new Set(streams),
    lows: new Map(),
    pending: []
  }
}

async function removalOn(scene: Scene) {
  const database = scene.database()
  const removal = new StreamRemoval(
    groundOf({ database, clock: systemClock, brokerTimeoutMs: 1_000 } as ClusterPartOptions)
  )
  const broker = await scene.broker('a', { isIdle: true })
  const idOf = async (filter: string) => (await broker.cluster.streamsOf([filter]))[0]!.streamId
  const isThere = async (id: number) => (await database.streams.findOne({ _id: id }))?.filter !== undefined
  return { removal, broker, idOf, isThere }
}

cluster(
  'a stream goes when nobody has used it for two statements of every broker, and its filter gets a new id',
  async (t, scene) => {
    const { removal, idOf, isThere } = await removalOn(scene)
    const id = await idOf('x')
    await idOf('y')
    await removal.look([said(1, 5), said(2, 9)], 0)
    await removal.look([said(1, 7), said(2, 10)], MINUTE_MS)
    t.true(await isThere(id), 'the second broker has said too little')
    await removal.look([said(1, 7), said(2, 11)], MINUTE_MS)
    t.false(await isThere(id))
    t.true((await idOf('x')) > id)
  }
)

cluster(
  'a stream stays while a statement lists it, a subscription names it, or somebody asks for it',
  async (t, scene) => {
    const { removal, broker, idOf, isThere } = await removalOn(scene)
    const listed = await idOf('listed')
    const subscribed = await idOf('subscribed')
    const asked = await idOf('asked')
    await broker.cluster.claim('client')
    await broker.writeSession('client', 1)
    const key = { sessionId: 1, filter: 'subscribed' }
    await broker.write({
      table: 'subscription',
      key,
      row: { ...key, streamId: subscribed, qos: 1, fromSequence: 0, createdAt: 1 }
    })
    await removal.look([said(1, 5, [listed])], 0)
    await idOf('asked')
    await removal.look([said(1, 9, [listed])], MINUTE_MS)
    for (const id of [listed, subscribed, asked]) t.true(await isThere(id))
    await removal.look([said(1, 11)], 3 * MINUTE_MS)
    t.false(await isThere(asked))
    t.true(await isThere(subscribed))
  }
)
