import { type Collection, MongoClient, MongoServerError } from 'mongodb'
import type { Customer } from '../shared/customer.ts'
import { dayOf, type EventLog, type Summary } from './event-log.ts'

interface EventDocument extends Omit<Customer, 'id'> {
  /** The id of the customer: an event that comes again is refused as a duplicate. */
  readonly _id: string
  /** Order of arrival, from 1, without gaps. */
  readonly position: number
  readonly loggedAt: Date
}

interface SummaryDocument {
  readonly _id: 'summary'
  /** The position up to which the events are counted in. */
  readonly through: number
  readonly lastNumber: number
  readonly byDay: readonly NamedCount[]
  readonly byUser: readonly NamedCount[]
}

/** The name stands in a value: it may have characters that the name of a field may not. */
interface NamedCount {
  readonly name: string
  readonly events: number
}

const EMPTY: SummaryDocument = { _id: 'summary', through: 0, lastNumber: 0, byDay: [], byUser: [] }
/** MongoDB's code for a unique index that has the key already. */
const DUPLICATE_KEY = 11_000
const BATCH = 100

/**
 * A logging database in MongoDB, without transactions. An event is one document. The summary is another, which
 * says up to which event it counts: after a crash between the two writes it takes up what is missing, and no
 * event is counted twice.
 */
export class MongodbLog implements EventLog {
  readonly #client: MongoClient
  readonly #events: Collection<EventDocument>
  readonly #summary: Collection<SummaryDocument>

  private constructor(client: MongoClient) {
    this.#client = client
    this.#events = client.db().collection('logger_events')
    this.#summary = client.db().collection('logger_summary')
  }

  /** @param url with the name of the database: `mongodb://localhost:27017/shop`. */
  static async open(url: string): Promise<MongodbLog> {
    const client = new MongoClient(url, {
      writeConcern: { w: 'majority', j: true },
      serverSelectionTimeoutMS: 5_000
    })
    const log = new MongodbLog(client)
    await client.connect()
    await log.#events.createIndex({ position: 1 }, { unique: true })
    await unlessThere(log.#summary.insertOne(EMPTY))
    return log
  }

  async add(customer: Customer): Promise<boolean> {
    const isNew = await this.#insert(customer)
    await this.#countIn()
    return isNew
  }

  async summary(): Promise<Summary> {
    await this.#countIn()
    const { through, lastNumber, byDay, byUser } = await this.#current()
    return {
      events: through,
      lastNumber,
      byDay: Object.fromEntries(toMap(byDay)),
      byUser: Object.fromEntries(toMap(byUser))
    }
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  async #insert({ id, ...rest }: Customer): Promise<boolean> {
    for (;;) {
      if (await this.#events.findOne({ _id: id })) return false
      const [last] = await this.#events.find().sort({ position: -1 }).limit(1).toArray()
      const position = (last?.position ?? 0) + 1
      const event = { _id: id, position, ...rest, loggedAt: new Date() }
      if (await unlessThere(this.#events.insertOne(event))) return true
      // another logger has taken the position, or logged the event
    }
  }

  /** Counts in what the summary does not have yet. */
  async #countIn(): Promise<void> {
    for (;;) {
      const before = await this.#current()
      const missing = { position: { $gt: before.through } }
      const events = await this.#events.find(missing).sort({ position: 1 }).limit(BATCH).toArray()
      if (events.length === 0) return
      // only if it is still the one that was read: the newer one of another logger stays
      await this.#summary.replaceOne({ _id: 'summary', through: before.through }, counted(before, events))
    }
  }

  async #current(): Promise<SummaryDocument> {
    return (await this.#summary.findOne({ _id: 'summary' })) ?? EMPTY
  }
}

function counted(before: SummaryDocument, events: readonly EventDocument[]): Omit<SummaryDocument, '_id'> {
  const byDay = toMap(before.byDay)
  const byUser = toMap(before.byUser)
  let { through, lastNumber } = before
  for (const { _id, ...event } of events) {
    const day = dayOf({ id: _id, ...event })
    byDay.set(day, (byDay.get(day) ?? 0) + 1)
    byUser.set(event.createdBy, (byUser.get(event.createdBy) ?? 0) + 1)
    lastNumber = Math.max(lastNumber, event.number)
    through = event.position
  }
  return { through, lastNumber, byDay: fromMap(byDay), byUser: fromMap(byUser) }
}

function toMap(counts: readonly NamedCount[]): Map<string, number> {
  return new Map(counts.map(({ name, events }) => [name, events]))
}

/** In alphabetical order. */
function fromMap(counts: ReadonlyMap<string, number>): NamedCount[] {
  return [...counts.keys()].sort().map(name => ({ name, events: counts.get(name)! }))
}

/** Whether an insert went through; false when the key was there. */
async function unlessThere(insert: Promise<unknown>): Promise<boolean> {
  try {
    await insert
    return true
  } catch (error) {
    if (error instanceof MongoServerError && error.code === DUPLICATE_KEY) return false
    throw error
  }
}
