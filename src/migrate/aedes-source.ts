import { openAedesDatabase } from './aedes-database.ts'
import { AedesStore } from './aedes-store.ts'
import type { Side } from './migrate.ts'
import { placeOf, refusal } from './place.ts'

/** A database of aedes-persistence-mongodb as what is moved. */
export interface AedesSource extends Side {
  /** What was left out, once it was read. */
  readonly remarks: Iterable<string>
}

/**
 * The source at an address with the name of a database.
 * @param prefix what its collections begin with.
 * @throws QueueError QUEUE_REQUEST_INVALID
 */
export function aedesSource(address: string, prefix = ''): AedesSource {
  const { kind, name } = placeOf(address)
  if (kind !== 'mongodb')
    throw refusal(`${name} is no address of a MongoDB: expected mongodb://<host>/<database>`)
  const store = new AedesStore(() => openAedesDatabase(address, prefix))
  return { name: `${name} (Aedes)`, make: async () => store, remarks: store.remarks }
}
