import Database from 'libsql'
import type { Customer } from '../shared/customer.ts'
import { type CustomerCount, type CustomerStore, EmailTakenError, type NewCustomer } from './store.ts'

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA busy_timeout = 5000;
  CREATE TABLE IF NOT EXISTS customers (
    number    INTEGER PRIMARY KEY,
    id        TEXT NOT NULL UNIQUE,
    name      TEXT NOT NULL,
    email     TEXT NOT NULL UNIQUE,
    createdBy TEXT NOT NULL,
    createdAt TEXT NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS pending_events (
    number INTEGER PRIMARY KEY REFERENCES customers
  ) STRICT;
`

/** The number is found and used in one write transaction, so that no other process can take it in between. */
const INSERT = `
  INSERT INTO customers
  SELECT coalesce(max(number), 0) + 1, ?, ?, ?, ?, ? FROM customers
  RETURNING *`

/** Customers in a file of SQLite. Rows are always read by `all`: those of `get` have a field of the library as well. */
export class SqliteStore implements CustomerStore {
  readonly #database: Database.Database
  readonly #add: (customer: NewCustomer) => Customer

  /** @param file made when it is missing. */
  constructor(file: string) {
    this.#database = new Database(file)
    this.#database.exec(SCHEMA)
    const insert = this.#database.prepare(INSERT)
    const pend = this.#database.prepare('INSERT INTO pending_events VALUES (?)')
    this.#add = this.#database.transaction(({ id, name, email, createdBy, createdAt }: NewCustomer) => {
      const [customer] = insert.all(id, name, email, createdBy, createdAt) as [Customer]
      pend.run(customer.number)
      return customer
    }).immediate
  }

  async add(customer: NewCustomer): Promise<Customer> {
    try {
      return this.#add(customer)
    } catch (error) {
      if (error instanceof Error && /UNIQUE.*customers\.email/.test(error.message))
        throw new EmailTakenError()
      throw error
    }
  }

  async list(afterNumber: number, limit: number): Promise<Customer[]> {
    const query = 'SELECT * FROM customers WHERE number > ? ORDER BY number LIMIT ?'
    return this.#database.prepare(query).all(afterNumber, limit) as Customer[]
  }

  async get(id: string): Promise<Customer | undefined> {
    const [customer] = this.#database.prepare('SELECT * FROM customers WHERE id = ?').all(id) as Customer[]
    return customer
  }

  async count(): Promise<CustomerCount> {
    const query = 'SELECT count(*) AS count, coalesce(max(number), 0) AS through FROM customers'
    const [count] = this.#database.prepare(query).all() as [CustomerCount]
    return count
  }

  async pending(limit: number): Promise<Customer[]> {
    const query =
      'SELECT customers.* FROM pending_events JOIN customers USING (number) ORDER BY number LIMIT ?'
    return this.#database.prepare(query).all(limit) as Customer[]
  }

  async published(number: number): Promise<void> {
    this.#database.prepare('DELETE FROM pending_events WHERE number = ?').run(number)
  }

  async close(): Promise<void> {
    this.#database.close()
  }
}
