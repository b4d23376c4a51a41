import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { builtinPlugins } from '../builtin.ts'
import { systemClock } from '../clock.ts'
import { commonSettings } from '../config/common.ts'
import { defaultSettings } from '../config/settings.ts'
import { Events } from '../events.ts'
import type { Logger } from '../log.ts'
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
    settings: commonSettings(settings),
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
