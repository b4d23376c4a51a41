import { MongoClient, type Sort } from 'mongodb'
import type {
  AedesClientPacket,
  AedesDatabase,
  AedesId,
  AedesRetained,
  AedesSubscription
} from './aedes-documents.ts'

/** A server that is not there is given up after this. */
const SELECTION_MS = 10_000
/** What is needed to put the packets in order and to tell what became of them. */
const HEAD = {
  clientId: 1,
  ...Object.fromEntries(
    ['cmd', 'brokerId', 'brokerCounter', 'messageId', 'qos', 'topic'].map(key => [`packet.${key}`, 1])
  )
}

/**
 * Opens a database of aedes-persistence-mongodb for reading.
 * @param prefix what its collections begin with (`collectionPrefix`).
 */
export async function openAedesDatabase(url: string, prefix = ''): Promise<AedesDatabase> {
  const client = new MongoClient(url, { promoteBuffers: true, serverSelectionTimeoutMS: SELECTION_MS })
  await client.connect()
  const database = client.db()
  // a collection without an order may leave documents out while it is read
  const inOrder: { sort: Sort } = { sort: { _id: 1 } }
  const all = <Shape>(name: string, options: object = {}): AsyncIterable<Shape> =>
    database
      .collection(`${prefix}${name}`)
      .find({}, { ...inOrder, ...options }) as unknown as AsyncIterable<Shape>
  return {
    subscriptions: () => all<AedesSubscription>('subscriptions'),
    retained: () => all<AedesRetained>('retained'),
    wills: () => all<AedesClientPacket>('will'),
    incoming: () => all<AedesClientPacket>('incoming'),
    outgoing: () => all<AedesClientPacket>('outgoing', { projection: HEAD }),
    async packets(ids: readonly AedesId[]) {
      const found = database.collection(`${prefix}outgoing`).find({ _id: { $in: [...ids] as never[] } })
      return (await found.toArray()) as unknown as AedesClientPacket[]
    },
    close: () => client.close()
  }
}
