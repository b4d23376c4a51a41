import { definePlugin } from '../../src/plugin.ts'
import { bootId } from './boot.ts'
import { systemFiles } from './files.ts'
import { LocalStore } from './local-store.ts'

/** Options under `plugins.store-local`. */
export interface StoreLocalOptions {
  /** Bytes after which a journal file is closed and the next one begun. */
  segmentBytes: number
  /** A closed journal file of which less than this is still wanted is rewritten without the rest. */
  compactBelowPercent: number
}

/** Keeps messages and state in the data folder: a journal of segment files, and LevelDB for what changes. */
export const storeLocal = definePlugin<StoreLocalOptions>({
  name: 'store-local',
  schema: {
    type: 'object',
    additionalProperties: false,
    required: [],
    properties: {
      segmentBytes: {
        type: 'integer',
        description: 'Bytes after which a journal file is closed and the next one begun',
        minimum: 65_536,
        maximum: 1_073_741_824,
        default: 67_108_864
      },
      compactBelowPercent: {
        type: 'integer',
        description:
          'A closed journal file of which less than this is still wanted is rewritten without the rest',
        minimum: 0,
        maximum: 50,
        default: 25
      }
    }
  },
  setup({ settings, clock, log }, options) {
    const store = new LocalStore({
      ...options,
      dataDirectory: settings.dataDirectory,
      fsync: settings.fsync,
      fsyncIntervalMs: settings.fsyncIntervalMs,
      files: systemFiles,
      clock,
      log,
      bootId: () => bootId(clock)
    })
    return { store }
  }
})
