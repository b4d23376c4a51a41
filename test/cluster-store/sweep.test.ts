import test from 'ava'
import { ownerOf } from '../../plugins/store-mongodb/cluster/owner.ts'
import { double } from '../../plugins/store-mongodb/database.ts'
import { clusterTests, until } from './scene.ts'

const cluster = clusterTests(test)

cluster('what a dead broker got hold of too late is found and taken over', async (t, scene) => {
  const gone = await scene.broker('gone')
  await gone.cluster.claim('early')
  await gone.writeSession('early', 1)
  await gone.store.notes.append(Buffer.from('note'), { sync: true })
  await gone.end()
  const heir = await scene.broker('heir', { brokerTimeoutMs: 100 }) // short rounds; there is nobody to be judged
  const adopted = () => heir.listener.adopted.flatMap(({ sessions }) => sessions.map(each => each.clientId))
  await until(() => heir.cluster.brokers().some(({ isEmptied }) => isEmptied), 'all it had is taken over')
  t.deepEqual(adopted(), ['early'])

  await heir.cluster.claim('own')
  await heir.writeSession('own', 3)

  const { sessions, cursors, wills, brokers } = scene.database()
  const owner = double(ownerOf(gone.lane, 1))
  const row = { sessionId: double(2), createdAt: 1, expirySeconds: null }
  await sessions.insertOne({ _id: 'late', owner, epoch: 7, ...row })
  await sessions.insertOne({ _id: 'bare', owner, epoch: 1, sessionId: double(0) })
  await cursors.insertOne({ _id: double(2), owner, epoch: 7, cursor: Buffer.from('cursor') })
  await wills.insertOne({ _id: double(9), owner, clientId: 'other', row: Buffer.from('will') })
  await until(() => adopted().includes('late'), 'it is found')
  const parts = heir.listener.adopted.at(-1)
  t.deepEqual(parts?.cursors.get(2), Buffer.from('cursor'))
  t.deepEqual([...(parts?.wills ?? [])], [[9, Buffer.from('will')]])
  t.deepEqual(parts?.notes, [], 'its notes were taken over before')
  await until(
    async () => (await brokers.findOne({ _id: 'gone', isEmptied: true, estates: [] })) !== null,
    'all is settled'
  )
  t.deepEqual(adopted(), ['early', 'late'])
  t.is(await sessions.countDocuments({ owner }), 0)
  const again = await scene.broker('again', { brokerTimeoutMs: 60_000 })
  t.is((await again.cluster.claim('late'))?.sessions[0]?.sessionId, 2)
})
