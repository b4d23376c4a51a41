import type { ClusterPart, ClusterPartOptions, Joined } from '../../plugins/store-mongodb/cluster-part.ts'
import { MongoStore, type MongoStoreOptions } from '../../plugins/store-mongodb/mongo-store.ts'
import { systemClock } from '../../src/clock.ts'
import { RecordingLog } from './core.ts'

/** A store in a MongoDB that knows of no other brokers, with the lane 0: for tests of the store itself. */
export function aloneStore(
  mongodbUrl: string,
  options: Partial<MongoStoreOptions> = {}
): { store: MongoStore; log: RecordingLog } {
  const log = new RecordingLog()
  const store = new MongoStore({
    mongodbUrl,
    brokerName: 'contract',
    brokerTimeoutMs: 5_000,
    storeTimeoutMs: 10_000,
    clock: systemClock,
    log,
    makeClusterPart: aloneIn,
    ...options
  })
  return { store, log }
}

/** What it owned before is its own without being given over: it goes on under the same number. */
function aloneIn({ database, identity }: ClusterPartOptions): ClusterPart {
  const filter = { _id: identity.brokerName }
  return {
    async join(): Promise<Joined> {
      const before = await database.brokers.findOne(filter)
      identity.lane = 0
      identity.incarnation = 1
      await database.brokers.updateOne(filter, { $set: { lane: 0, state: 'live' } }, { upsert: true })
      const lastStop = !before ? 'new' : before.state === 'stopped' ? 'clean' : 'process'
      const { head = 0, notesHead = 0 } = before ?? {}
      return { lastStop, head, notesHead, lanes: [{ lane: 0, name: identity.brokerName, head }] }
    },
    async leave({ head, notesHead }) {
      await database.brokers.updateOne(filter, { $set: { state: 'stopped', head, notesHead } })
    }
  }
}
