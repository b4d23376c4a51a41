import { definePlugin } from '../../src/plugin.ts'
import { MemoryStore } from './memory-store.ts'

/** Keeps everything in memory, for as long as the process lives: for tests and for trying things out. */
export const storeMemory = definePlugin<Record<string, never>>({
  name: 'store-memory',
  schema: { type: 'object', additionalProperties: false, required: [] },
  setup: () => ({ store: new MemoryStore() })
})
