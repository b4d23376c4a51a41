import { type Collection, MongoClient } from 'mongodb'
import type { TextLog, TextState } from './text-log.ts'

interface TextDocument {
  readonly _id: string
  readonly state: TextState
  readonly notedAt: Date
}

/** Notes of texts in the collection `monitor_texts` of a MongoDB. */
export class MongodbTextLog implements TextLog {
  readonly #client: MongoClient
  readonly #texts: Collection<TextDocument>

  private constructor(client: MongoClient) {
    this.#client = client
    this.#texts = client.db().collection('monitor_texts')
  }

  /** @param url with the name of the database: `mongodb://localhost:27017/shop`. */
  static async open(url: string): Promise<MongodbTextLog> {
    const client = new MongoClient(url, {
      writeConcern: { w: 'majority', j: true },
      serverSelectionTimeoutMS: 5_000
    })
    await client.connect()
    return new MongodbTextLog(client)
  }

  async stateOf(key: string): Promise<TextState | undefined> {
    return (await this.#texts.findOne({ _id: key }))?.state
  }

  async note(key: string, state: TextState): Promise<void> {
    await this.#texts.replaceOne({ _id: key }, { state, notedAt: new Date() }, { upsert: true })
  }

  sentCount(): Promise<number> {
    return this.#texts.countDocuments({ state: 'sent' })
  }

  async close(): Promise<void> {
    await this.#client.close()
  }
}
