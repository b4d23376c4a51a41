import type { Owed } from '../../../src/plugin.ts'
import type { OwedByOthers, OwedElsewhere } from '../cluster-part.ts'
import { double } from '../database.ts'
import { COLLECTIONS } from '../documents.ts'
import { type BrokerRecord, ownerOfEstate, ownerOfRecord } from './broker-record.ts'
import type { Ground } from './ground.ts'
import type { Handovers } from './handovers.ts'
import { sessionsOf, slices } from './session-move.ts'
import {
  lower,
  owedAbove,
  type Statement,
  type StatementDocument,
  statementDocuments,
  statementsOf
} from './statement.ts'
import { clearStatements } from './statement-clearing.ts'
import type { StreamRemoval } from './stream-removal.ts'

/** Sessions that name an old statement, by its id: the streams that they read. */
type Named = ReadonlyMap<string, ReadonlySet<number>>

/** What the exchange works with. */
export interface OwedExchangeOptions {
  readonly ground: Ground
  readonly handovers: Handovers
  readonly removal: StreamRemoval
}

/**
 * Tells the others what this broker's sessions are owed, and finds out what theirs are. The order of the reading is what
 * makes it safe, because sessions move meanwhile: first who lives, then the statements, then which sessions name an
 * older statement, then the statements once more, then again who lives. A name that is gone by the third step was taken off
 * after a newer statement was written, which the fourth step sees; and whoever began to live after the last step has
 * read its heads later than all that was said here.
 */
export class OwedExchange implements OwedElsewhere {
  readonly #options: OwedExchangeOptions

  constructor(options: OwedExchangeOptions) {
    this.#options = options
  }

  async exchange(owed: Owed): Promise<OwedByOthers | null> {
    const { ground, handovers, removal } = this.#options
    await this.#tell(owed)
    await handovers.clear()
    const records = await this.#read(() => ground.brokers.find({}).toArray())
    const first = await this.#statements()
    const named = await this.#named()
    const second = await this.#statements()
    const now = await this.#read(() => ground.brokers.find({}).toArray())
    const full = fullStatements([...records, ...now], first, second)
    if (!full) return null
    const speaking = [...named.keys()].map(id => first.get(id) ?? second.get(id))
    await clearStatements(ground, now, second)
    if (isFirstLiving(ground, now)) await removal.run(full)
    return {
      lanes: this.#lanes(now, full),
      above: aboveOf(full, named, id => first.get(id) ?? second.get(id)),
      pending: [...full, ...speaking].flatMap(statement => statement?.pending ?? [])
    }
  }

  async #tell(owed: Owed): Promise<void> {
    const { ground, handovers } = this.#options
    const count = handovers.begin()
    const documents = statementDocuments(ground.self, count, owed)
    const collection = this.#collection
    for (const document of documents) {
      const { _id, ...fields } = document
      const put = () => collection.updateOne({ _id }, { $set: fields }, { upsert: true })
      await ground.patience.until(put, { timeoutMs: ground.storeTimeoutMs, isRead: true })
    }
    await handovers.written(count)
  }

  async #statements(): Promise<Map<string, Statement>> {
    return statementsOf(await this.#read(() => this.#collection.find({}).toArray()))
  }

  async #named(): Promise<Named> {
    const { ground } = this.#options
    const projection = { sessionId: 1, owedIn: 1 }
    const filter = { owedIn: { $exists: true }, sessionId: { $ne: 0 } }
    const sessions = await this.#read(() => sessionsOf(ground).find(filter, { projection }).toArray())
    const statementOf = new Map(sessions.map(({ sessionId, owedIn = '' }) => [sessionId, owedIn]))
    const named = new Map(sessions.map(({ owedIn = '' }) => [owedIn, new Set<number>()]))
    for (const ids of slices([...statementOf.keys()])) {
      const ofSessions = { sessionId: { $in: ids.map(double) } }
      const fields = { projection: { sessionId: 1, streamId: 1 } }
      const rows = await this.#read(() => ground.database.subscriptions.find(ofSessions, fields).toArray())
      for (const { sessionId, streamId } of rows) named.get(statementOf.get(sessionId)!)?.add(streamId)
    }
    return named
  }

  /** The own lane, and those of the dead when no living broker has a lower lane. */
  #lanes(records: readonly BrokerRecord[], full: readonly Statement[]): OwedByOthers['lanes'] {
    const { ground } = this.#options
    const isOurs = ({ _id, lane, state, isEmptied }: BrokerRecord) =>
      _id === ground.identity.brokerName
        ? lane === ground.identity.lane
        : state !== 'live' && isEmptied && isFirstLiving(ground, records)
    return records
      .filter(record => record.estates.length === 0 && isOurs(record)) // an estate's messages are read again
      .map(({ lane }) => ({ lane, through: Math.min(...full.map(({ heads }) => heads.at(lane))) }))
  }

  get #collection() {
    return this.#options.ground.database.collection<StatementDocument>(COLLECTIONS.owed)
  }

  #read<Result>(action: () => Promise<Result>): Promise<Result> {
    const { patience, storeTimeoutMs } = this.#options.ground
    return patience.until(action, { timeoutMs: storeTimeoutMs, isRead: true })
  }
}

/** Whether this broker is the one that does what one has to do for all. */
function isFirstLiving({ identity }: Ground, records: readonly BrokerRecord[]): boolean {
  return records.every(({ lane, state }) => state !== 'live' || lane >= identity.lane)
}

/**
 * The statements that count as a whole: the newest ones of all owners that live or have left something.
 * @returns null when one of them has said nothing.
 */
function fullStatements(
  records: readonly BrokerRecord[],
  ...readings: readonly ReadonlyMap<string, Statement>[]
): Statement[] | null {
  const owners = new Set<number>()
  for (const record of records) {
    if (!record.isEmptied || record.state === 'live') owners.add(ownerOfRecord(record))
    for (const estate of record.estates) owners.add(ownerOfEstate(record, estate))
  }
  const full = new Map<string, Statement>()
  for (const reading of readings) {
    const newest = newestOf(reading)
    for (const owner of owners) {
      const statement = newest.get(owner)
      if (!statement) return null
      full.set(`${statement.id}`, statement)
    }
  }
  return [...full.values()]
}

/** The newest statement of each owner. */
export function newestOf(statements: ReadonlyMap<string, Statement>): Map<number, Statement> {
  const newest = new Map<number, Statement>()
  for (const statement of statements.values()) {
    const before = newest.get(statement.owner)
    if (!before || before.count < statement.count) newest.set(statement.owner, statement)
  }
  return newest
}

/** What of a stream is owed according to all that counts. */
function aboveOf(
  full: readonly Statement[],
  named: Named,
  find: (id: string) => Statement | undefined
): OwedByOthers['above'] {
  const lows = new Map<number, Map<number, number>>()
  for (const statement of full) {
    for (const [streamId, ofLanes] of statement.lows) {
      for (const low of ofLanes.values()) lower(lows, streamId, low)
    }
  }
  const careful = new Map<number, (Statement | undefined)[]>()
  for (const [id, streamIds] of named) {
    for (const streamId of streamIds) careful.set(streamId, [...(careful.get(streamId) ?? []), find(id)])
  }
  return (streamId, lane) => {
    const low = lows.get(streamId)?.get(lane) ?? Number.POSITIVE_INFINITY
    const others = careful.get(streamId) ?? []
    return others.reduce((least, statement) => Math.min(least, owedAbove(statement, streamId, lane)), low)
  }
}
