import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'libsql'
import type { TextLog, TextState } from './text-log.ts'

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL; -- a note must not be lost in a power cut: the text would go out twice
  PRAGMA busy_timeout = 5000;
  CREATE TABLE IF NOT EXISTS texts (
    key     TEXT PRIMARY KEY,
    state   TEXT NOT NULL CHECK (state IN ('sending', 'sent', 'refused')),
    notedAt TEXT NOT NULL
  ) STRICT;
`

/** Notes of texts in a file of SQLite. */
export class SqliteTextLog implements TextLog {
  readonly #database: Database.Database

  /** @param file made when it is missing. */
  constructor(file: string) {
    mkdirSync(dirname(file), { recursive: true })
    this.#database = new Database(file)
    this.#database.exec(SCHEMA)
  }

  async stateOf(key: string): Promise<TextState | undefined> {
    const [row] = this.#database.prepare('SELECT state FROM texts WHERE key = ?').all(key) as {
      state: TextState
    }[]
    return row?.state
  }

  async note(key: string, state: TextState): Promise<void> {
    const note = `
      INSERT INTO texts VALUES (?, ?, ?)
      ON CONFLICT DO UPDATE SET state = excluded.state, notedAt = excluded.notedAt`
    this.#database.prepare(note).run(key, state, new Date().toISOString())
  }

  async sentCount(): Promise<number> {
    const query = "SELECT count(*) AS count FROM texts WHERE state = 'sent'"
    const [row] = this.#database.prepare(query).all() as { count: number }[]
    return row?.count ?? 0
  }

  async close(): Promise<void> {
    this.#database.close()
  }
}
