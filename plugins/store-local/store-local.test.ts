import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { systemClock } from '../../src/clock.ts'
import { silentLog } from '../../src/log.ts'
import { storeContract } from '../../test/contract/store.ts'
import { systemFiles } from './files.ts'
import { LocalStore } from './local-store.ts'

for (const fsync of ['always', 'interval', 'off'] as const) {
  storeContract(test, {
    name: `store-local, fsync ${fsync}`,
    async create(t) {
      const dataDirectory = await mkdtemp(join(tmpdir(), 'restante-store-'))
      t.teardown(() => rm(dataDirectory, { recursive: true }))
      const again = () =>
        new LocalStore({
          dataDirectory,
          fsync,
          fsyncIntervalMs: 200,
          segmentBytes: 65_536,
          compactBelowPercent: 25,
          files: systemFiles,
          clock: systemClock,
          log: silentLog,
          bootId: async () => 'boot'
        })
      return { store: again(), again, emptyLaneBytes: 70_000 }
    }
  })
}
