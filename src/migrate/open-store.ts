import { existsSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { builtinPlugins } from '../builtin.ts'
import { systemClock } from '../clock.ts'
import { defaultSettings, type Settings } from '../config/settings.ts'
import { Events } from '../events.ts'
import type { Logger } from '../log.ts'
import type { CommonSettings } from '../plugin.ts'
import { PluginContexts } from '../plugin-context.ts'
import { setUpPlugins, storeOf } from '../plugin-setup.ts'
import type { Store } from '../store/store.ts'
import { type Place, refusal } from './place.ts'

/** What concerns a store besides its place. */
export interface StoreChoice {
  /** The name under which a shared store is used; '' for that of the machine. */
  readonly brokerName: string
  readonly log: Logger
}

/** Makes the store of a place anew each time; nothing is opened yet. */
export async function storeAt(place: Place, { brokerName, log }: StoreChoice): Promise<Store> {
  const settings = defaultSettings({ ...place.settings, brokerName, fsync: 'always' })
  const plugins = builtinPlugins(settings).filter(({ name }) => name === `store-${settings.store}`)
  const parts = {
    log,
    clock: systemClock,
    settings: common(settings),
    events: new Events(log),
    core: () => undefined
  }
  const contexts = new PluginContexts(parts)
  const set = { plugins, settings, contexts, log, clock: systemClock, pluginsOrigin: 'defaults', closers: [] }
  return storeOf(await setUpPlugins(set))
}

/** Whether there can be anything at a place. A folder without a store is left as it is. */
export function assertThere({ kind, name }: Place): void {
  if (kind !== 'local' || existsSync(join(name, 'format.json'))) return
  throw refusal(`${name} is no data folder of Restante: there is no format.json in it`)
}

function common(settings: Settings): CommonSettings {
  const { data, fsync, fsyncIntervalMs, maxPacketBytes, maxTopicLevels } = settings
  const { mongodbUrl, redisUrl, brokerName, brokerTimeoutMs, storeTimeoutMs } = settings
  const ownName =
    hostname()
      .replace(/[^\w-]+/g, '-')
      .slice(0, 64) || 'broker'
  return {
    ...{ dataDirectory: data, fsync, fsyncIntervalMs, maxPacketBytes, maxTopicLevels },
    ...{ mongodbUrl, redisUrl, brokerName: brokerName || ownName, brokerTimeoutMs, storeTimeoutMs }
  }
}
