import type { MakeClusterPart } from '../cluster-part.ts'
import { groundOf } from './ground.ts'
import { MongoCluster } from './mongo-cluster.ts'
import { OwedExchange } from './owed-exchange.ts'
import { Registry } from './registry.ts'
import { StreamRemoval } from './stream-removal.ts'

const ENTRY_MS = 30_000

/** Makes the part of a store that lives with other brokers on the same database. */
export const makeClusterPart: MakeClusterPart = options => clusterPartWith(ENTRY_MS)(options)

/** The same. @param entryMs after which a session that was handed to the core is certainly in its memory */
export function clusterPartWith(entryMs: number): MakeClusterPart {
  return options => {
    const ground = groundOf(options)
    const registry = new Registry(ground)
    const cluster = new MongoCluster(ground, entryMs)
    const { handovers } = cluster
    return {
      cluster,
      owedElsewhere: new OwedExchange({ ground, handovers, removal: new StreamRemoval(ground) }),
      async join() {
        const joined = await registry.join(() => cluster.live())
        await cluster.joined(joined.lanes)
        return joined
      },
      opened: () => cluster.opened(),
      committed: () => cluster.committed(),
      renew: () => cluster.renew(),
      abandon: () => cluster.abandon(),
      leave: last => registry.leave(last)
    }
  }
}
