import { type Collection, type Filter, MongoClient, MongoError, MongoServerError } from 'mongodb'
import type { Customer } from '../shared/customer.ts'
import {
  type CustomerCount,
  type CustomerStore,
  EmailTakenError,
  type NewCustomer,
  StoreUnavailableError
} from './store.ts'

/** A customer; the pending event is a field of it, so that both are saved by one write without a transaction. */
interface CustomerDocument extends NewCustomer {
  /** The number. */
  readonly _id: number
  readonly isPending?: true
}

/** MongoDB's code for a unique index that has the key already. */
const DUPLICATE_KEY = 11_000

/** Customers in the collection `customers` of a MongoDB. */
export class MongodbStore implements CustomerStore {
  readonly #client: MongoClient
  readonly #customers: Collection<CustomerDocument>
  /** Additions go one after the other: two at once would only compete for the same number. */
  #lastAdd: Promise<unknown> = Promise.resolve()

  private constructor(client: MongoClient) {
    this.#client = client
    this.#customers = client.db().collection('customers')
  }

  /** @param url with the name of the database: `mongodb://localhost:27017/shop`. */
  static async open(url: string): Promise<MongodbStore> {
    const writeConcern = { w: 'majority', j: true } as const
    const client = new MongoClient(url, { writeConcern, serverSelectionTimeoutMS: 5_000 })
    const store = new MongodbStore(client)
    await told(async () => {
      await client.connect()
      await store.#customers.createIndex({ email: 1 }, { unique: true })
      await store.#customers.createIndex({ id: 1 }, { unique: true })
      await store.#customers.createIndex({ isPending: 1, _id: 1 })
    })
    return store
  }

  add(customer: NewCustomer): Promise<Customer> {
    const add = this.#lastAdd.then(() => told(() => this.#insert(customer)))
    this.#lastAdd = add.catch(() => {})
    return add
  }

  async #insert(customer: NewCustomer): Promise<Customer> {
    for (;;) {
      const _id = (await this.#lastNumber()) + 1
      try {
        await this.#customers.insertOne({ ...customer, _id, isPending: true })
        return { ...customer, number: _id }
      } catch (error) {
        if (!(error instanceof MongoServerError && error.code === DUPLICATE_KEY)) throw error
        if (await this.#customers.findOne({ email: customer.email })) throw new EmailTakenError()
        // another process has taken the number
      }
    }
  }

  async #lastNumber(): Promise<number> {
    const [last] = await this.#customers.find().sort({ _id: -1 }).limit(1).toArray()
    return last?._id ?? 0
  }

  list(afterNumber: number, limit: number): Promise<Customer[]> {
    return this.#find({ _id: { $gt: afterNumber } }, limit)
  }

  async get(id: string): Promise<Customer | undefined> {
    const [customer] = await this.#find({ id }, 1)
    return customer
  }

  /** Not one read, and still exact: numbers have no gaps, and what comes meanwhile is above `through`. */
  count(): Promise<CustomerCount> {
    return told(async () => {
      const through = await this.#lastNumber()
      return { count: await this.#customers.countDocuments({ _id: { $lte: through } }), through }
    })
  }

  pending(limit: number): Promise<Customer[]> {
    return this.#find({ isPending: true }, limit)
  }

  async published(number: number): Promise<void> {
    await told(() => this.#customers.updateOne({ _id: number }, { $unset: { isPending: true } }))
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  #find(filter: Filter<CustomerDocument>, limit: number): Promise<Customer[]> {
    return told(async () => {
      const found = await this.#customers.find(filter).sort({ _id: 1 }).limit(limit).toArray()
      return found.map(({ _id, isPending: _, ...customer }) => ({ ...customer, number: _id }))
    })
  }
}

/** Does something with the database; failures of it become StoreUnavailableError. */
async function told<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    if (!(error instanceof MongoError)) throw error
    throw new StoreUnavailableError(`MongoDB: ${error.message}`, { cause: error })
  }
}
