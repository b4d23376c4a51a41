import { events } from '../plugins/events/index.ts'
import { introspection } from '../plugins/introspection/index.ts'
import { metrics } from '../plugins/metrics/index.ts'
import { publish } from '../plugins/publish/index.ts'
import { redis } from '../plugins/redis/index.ts'
import { storeLocal } from '../plugins/store-local/index.ts'
import { storeMemory } from '../plugins/store-memory/index.ts'
import { storeMongodb } from '../plugins/store-mongodb/index.ts'
import { sys } from '../plugins/sys/index.ts'
import type { Settings } from './config/settings.ts'
import type { Plugin } from './plugin.ts'

export {
  type AttachedIntrospection,
  type AttachOptions,
  attachIntrospection
} from '../plugins/introspection/plain-aedes.ts'

const STORES: Readonly<Record<string, Plugin>> = {
  local: storeLocal,
  memory: storeMemory,
  mongodb: storeMongodb
}

/** The plugins a server of these settings runs with, in the order of set-up. */
export function builtinPlugins(settings: Settings): readonly Plugin[] {
  const store = STORES[settings.store] ?? storeLocal
  const bus = settings.redisUrl === '' ? [] : [redis]
  return [store, ...bus, introspection, publish, metrics, sys, events]
}
