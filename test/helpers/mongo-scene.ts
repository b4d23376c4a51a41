import type { ExecutionContext } from 'ava'
import { type Collection, MongoClient } from 'mongodb'
import type { MessageDocument } from '../../plugins/store-mongodb/documents.ts'
import type { MongoStore } from '../../plugins/store-mongodb/mongo-store.ts'
import { payloadOf, range, readLane } from './batches.ts'
import { aloneStore } from './mongo-store.ts'
import type { MongodbOfFile } from './mongodb.ts'
import { MongodbProxy, targetOf, throughProxy } from './mongodb-proxy.ts'

/** A store behind a proxy that lets commands fail. */
export interface MongoScene {
  store: MongoStore
  readonly proxy: MongodbProxy
  readonly log: ReturnType<typeof aloneStore>['log']
  /** The messages, past the proxy. */
  readonly messages: ReturnType<typeof collectionOf>
  /** Any collection, past the proxy. */
  collection(name: string): Collection
  readonly directUrl: string
  /** Closes and opens again. */
  reopen(): ReturnType<MongoStore['open']>
}

/** Opens one; undefined, with the test marked as skipped, where there is no server. */
export async function startScene(
  t: ExecutionContext,
  mongodb: MongodbOfFile
): Promise<MongoScene | undefined> {
  const directUrl = mongodb.database(t)
  if (!directUrl) return undefined
  const proxy = await MongodbProxy.start(t, targetOf(directUrl))
  const client = new MongoClient(directUrl)
  t.teardown(() => client.close())
  const url = throughProxy(directUrl, proxy.port)
  const { store, log } = aloneStore(url)
  const scene: MongoScene = {
    ...{ store, proxy, log, directUrl, messages: collectionOf(client) },
    collection: name => client.db().collection(name),
    async reopen() {
      await scene.store.close()
      scene.store = aloneStore(url).store
      return await scene.store.open()
    }
  }
  await store.open()
  t.teardown(() => scene.store.close())
  return scene
}

function collectionOf(client: MongoClient) {
  return client.db().collection<MessageDocument>('restante_messages')
}

/** The lane has each message from 1 on once, in order, and is so read and opened. */
export async function isWhole(t: ExecutionContext, scene: MongoScene, to: number): Promise<void> {
  const documents = await scene.messages.find().sort({ _id: 1 }).toArray()
  t.deepEqual(
    documents.map(({ _id }) => _id),
    range(1, to)
  )
  const found = await readLane(scene.store.lane, 1, to)
  t.deepEqual(
    found.map(message => message.payload()),
    range(1, to).map(payloadOf)
  )
  t.is((await scene.reopen()).nextSequence, to + 1)
}
