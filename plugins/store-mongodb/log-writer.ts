import { errorText, monotonicMs, QueueError } from '../../src/plugin.ts'
import { type Collection, double, type Failure, type Filter, failureOf } from './database.ts'
import type { LogDocument } from './documents.ts'
import type { Identity } from './identity.ts'
import type { Patience } from './patience.ts'

/** What a writer works with. */
export interface LogWriterOptions<Shape extends LogDocument> {
  readonly collection: Collection<Shape>
  readonly identity: Identity
  readonly patience: Patience
  /** Called before an insert, see `ClusterPart`. */
  readonly renew: () => Promise<void>
}

/** An insert that is under way. */
interface Insert<Shape> {
  readonly documents: readonly Shape[]
  readonly batch: string
  /** How many of them are on a majority. */
  written: number
  /** An attempt of unknown outcome was made: whatever is missing now may still come. */
  wasSent: boolean
}

/**
 * Inserts documents with dense numbers, in order, and does not rest before it is known what became of them. Whatever
 * the database or the network does, each is there once, none is missing between two others, and none counts that comes
 * after a seal.
 */
export class LogWriter<Shape extends LogDocument> {
  readonly #options: LogWriterOptions<Shape>
  #inserts = 0
  #failure: QueueError | null = null

  constructor(options: LogWriterOptions<Shape>) {
    this.#options = options
  }

  /**
   * Inserts documents; one call at a time.
   * @param documents with the numbers that follow the last one, without `batch`.
   * @param giveUpMs after which an insert of which nothing was sent is given up; left out: never.
   * @throws QueueError QUEUE_STORE_FULL, QUEUE_STORE_AWAY: nothing of it is there, nor will be; QUEUE_BROKER_FENCED,
   * QUEUE_STORE_FAILED: nothing more is taken.
   */
  async insert(documents: readonly Omit<Shape, 'batch'>[], giveUpMs?: number): Promise<void> {
    const batch = `${this.#options.identity.incarnation}.${++this.#inserts}`
    const marked = documents.map(document => ({ ...document, batch }) as unknown as Shape)
    const insert: Insert<Shape> = { documents: marked, batch, written: 0, wasSent: false }
    const startedMs = monotonicMs()
    for (let attempt = 0; ; attempt++) {
      const before = insert.written
      const away = (await this.#renew()) ?? (await this.#try(insert))
      if (insert.written === documents.length) return
      if (insert.written > before) continue
      const isOver = giveUpMs !== undefined && monotonicMs() - startedMs > giveUpMs
      if (away && isOver && !insert.wasSent && insert.written === 0) throw away
      await this.#options.patience.pause(attempt)
    }
  }

  /** Nothing is sent by a broker that others may have taken for dead. @returns the error while the database is away. */
  async #renew(): Promise<QueueError | null> {
    this.#check()
    try {
      await this.#options.renew()
    } catch (error) {
      return this.#options.patience.failed(error)
    }
    this.#check()
    return null
  }

  #check(): void {
    const failure = this.#options.identity.fence ?? this.#failure
    if (failure) throw failure
  }

  /** One attempt for all that is missing. @returns the error while the database is away. */
  async #try(insert: Insert<Shape>): Promise<QueueError | null> {
    const { collection, patience } = this.#options
    const { documents, written } = insert
    const missing = written === 0 ? documents : documents.slice(written)
    try {
      // biome-ignore lint/suspicious/noExplicitAny: the driver's type of a document without an id, which these have
      await collection.insertMany(missing as any, { ordered: true })
    } catch (error) {
      return await this.#judge(insert, error)
    }
    patience.succeeded()
    insert.written = documents.length
    return null
  }

  /** Finds out where an insert stands after an attempt has failed. @returns the error while the database is away. */
  async #judge(insert: Insert<Shape>, error: unknown): Promise<QueueError | null> {
    const { patience } = this.#options
    const failure = failureOf(error)
    const { kind } = failure
    insert.written += failure.index
    if (kind === 'not-sent' || kind === 'unknown') {
      insert.wasSent ||= kind === 'unknown'
      return patience.failed(error)
    }
    if (kind === 'duplicate') await this.#countWritten(insert)
    else if (kind === 'full') this.#full(insert, error)
    else throw this.#refused(failure, error)
    return null
  }

  /** Counts on with those that are there already, put there by an attempt before. */
  async #countWritten(insert: Insert<Shape>): Promise<void> {
    const { collection, patience } = this.#options
    const { documents, batch } = insert
    const from = documents[insert.written]!._id
    const to = documents.at(-1)!._id
    const filter = { _id: { $gte: from, $lte: to } } as unknown as Filter<Shape>
    const projection = { _id: 1, batch: 1, seal: 1 }
    // what a majority has; more may be there that will get to it
    const found = await patience.until(
      () => collection.find(filter, { projection }).sort({ _id: 1 }).toArray() as Promise<unknown>,
      { isRead: true }
    )
    for (const each of found as LogDocument[]) {
      if (each._id !== Number(documents[insert.written]!._id)) return
      if (each.batch !== batch) throw this.#fenced(each)
      insert.written++
    }
  }

  #fenced({ seal }: LogDocument): QueueError {
    const { identity } = this.#options
    const by = seal?.by ?? `another broker with that name`
    const detail = { name: identity.brokerName, by, problem: 'it was not heard of for too long' }
    identity.setFence(new QueueError('QUEUE_BROKER_FENCED', { detail }))
    return identity.fence!
  }

  /** Only an insert of which nothing is there, nor on its way, can be refused; any other goes on when there is room. */
  #full({ written, wasSent }: Insert<Shape>, cause: unknown): void {
    const problem = `MongoDB: ${errorText(cause)}`
    if (written === 0 && !wasSent) throw new QueueError('QUEUE_STORE_FULL', { cause, detail: { problem } })
    this.#options.patience.failed(cause)
  }

  #refused({ index }: Failure, cause: unknown): QueueError {
    const problem = `MongoDB refused document ${index} of an insert: ${errorText(cause)}`
    this.#failure = new QueueError('QUEUE_STORE_FAILED', { cause, detail: { problem } })
    return this.#failure
  }
}

/** The last number of a log, and what stands there; null when it is empty. */
export async function lastOf<Shape extends LogDocument>(
  collection: Collection<Shape>,
  range: { readonly after: number; readonly before: number }
): Promise<LogDocument | null> {
  const filter = { _id: { $gt: double(range.after), $lt: double(range.before) } } as unknown as Filter<Shape>
  const projection = { _id: 1, seal: 1, batch: 1 }
  const [last] = await collection.find(filter, { projection }).sort({ _id: -1 }).limit(1).toArray()
  return (last as unknown as LogDocument | undefined) ?? null
}
