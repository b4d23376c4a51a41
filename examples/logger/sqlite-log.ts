import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'libsql'
import type { Customer } from '../shared/customer.ts'
import { dayOf, type EventLog, type Summary } from './event-log.ts'

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL; -- what was acked must not be lost in a power cut
  PRAGMA busy_timeout = 5000;
  CREATE TABLE IF NOT EXISTS events (
    position  INTEGER PRIMARY KEY, -- order of arrival
    id        TEXT NOT NULL UNIQUE,
    number    INTEGER NOT NULL,
    name      TEXT NOT NULL,
    email     TEXT NOT NULL,
    createdBy TEXT NOT NULL,
    createdAt TEXT NOT NULL,
    loggedAt  TEXT NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS summary (
    kind   TEXT NOT NULL, -- all, day or user
    name   TEXT NOT NULL,
    events INTEGER NOT NULL,
    last   INTEGER NOT NULL, -- highest number of a customer
    PRIMARY KEY (kind, name)
  ) STRICT;
`

const ADD = `
  INSERT INTO events (id, number, name, email, createdBy, createdAt, loggedAt) VALUES (?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (id) DO NOTHING`

const COUNT = `
  INSERT INTO summary VALUES (?, ?, 1, ?)
  ON CONFLICT DO UPDATE SET events = events + 1, last = max(last, excluded.last)`

interface Row {
  readonly name: string
  readonly events: number
  readonly last: number
}

/** A logging database in a file of SQLite. */
export class SqliteLog implements EventLog {
  readonly #database: Database.Database
  readonly #add: (customer: Customer) => boolean

  /** @param file made when it is missing. */
  constructor(file: string) {
    mkdirSync(dirname(file), { recursive: true })
    this.#database = new Database(file)
    this.#database.exec(SCHEMA)
    const add = this.#database.prepare(ADD)
    const count = this.#database.prepare(COUNT)
    // one transaction: a crash leaves both, the event and its part in the summary, or neither
    this.#add = this.#database.transaction((customer: Customer) => {
      const { id, number, name, email, createdBy, createdAt } = customer
      const { changes } = add.run(id, number, name, email, createdBy, createdAt, new Date().toISOString())
      if (changes === 0) return false // it came before, and the ack was lost
      for (const [kind, key] of [
        ['all', ''],
        ['day', dayOf(customer)],
        ['user', createdBy]
      ])
        count.run(kind, key, number)
      return true
    }).immediate
  }

  async add(customer: Customer): Promise<boolean> {
    return this.#add(customer)
  }

  async summary(): Promise<Summary> {
    const rows = (kind: string) =>
      this.#database.prepare('SELECT * FROM summary WHERE kind = ? ORDER BY name').all(kind) as Row[]
    const counts = (kind: string) => Object.fromEntries(rows(kind).map(({ name, events }) => [name, events]))
    const [all] = rows('all')
    return {
      events: all?.events ?? 0,
      lastNumber: all?.last ?? 0,
      byDay: counts('day'),
      byUser: counts('user')
    }
  }

  async close(): Promise<void> {
    this.#database.close()
  }
}
