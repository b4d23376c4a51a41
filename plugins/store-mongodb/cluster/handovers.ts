import { monotonicMs } from '../../../src/plugin.ts'
import { COLLECTIONS } from '../documents.ts'
import type { Ground } from './ground.ts'
import { type OwnedSession, sessionsOf, slices } from './session-move.ts'
import type { StatementDocument } from './statement.ts'

/** Statements that must have begun after a session has arrived, before one of them speaks for it. */
const STATEMENTS = 2

interface Arrival {
  readonly owedIn: string
  readonly count: number
  readonly atMs: number
}

/**
 * Sees to it that nothing that a session is owed is freed while it moves. Each broker says what its sessions are owed in
 * numbered statements (see `statement.ts`), of which the newest counts. A session that leaves a broker names, in its own
 * document, a statement in which it was: that one counts for its streams until a statement of its new owner speaks for
 * it, and is not removed before. If it moves on earlier, the name stays: what the old statement says only grows too
 * careful. So no step depends on another broker being alive, and a broker that dies leaves the names behind.
 */
export class Handovers {
  readonly #ground: Ground
  readonly #entryMs: number
  readonly #arrivals = new Map<string, Arrival>()
  readonly #pins = new Map<string, number>()
  /** The newest statement that is in the database. */
  #written = 0
  /** The newest one that was begun. */
  #begun = 0

  /** @param entryMs a session that was handed to the core is in its memory after this, however slowly it was read */
  constructor(ground: Ground, entryMs: number) {
    this.#ground = ground
    this.#entryMs = entryMs
  }

  /** The number of the newest statement of this broker. */
  get count(): number {
    return this.#written
  }

  /** A session has come; the next statement may not know it yet. */
  arrived({ _id, sessionId, owedIn }: OwnedSession): void {
    if (sessionId === 0 || owedIn === undefined) return
    this.#arrivals.set(_id, { owedIn, count: this.#begun, atMs: monotonicMs() })
  }

  /** A session is here no more. */
  left(clientId: string): void {
    this.#arrivals.delete(clientId)
  }

  /** Whether the newest statement speaks for a client id that is held here. */
  isCovered(clientId: string): boolean {
    return !this.#arrivals.has(clientId)
  }

  /** The newest statement, which stays until it was given free: what is in memory now is in it, or in `owedIn`. */
  pin(): string {
    const id = `${this.#ground.self}/${this.#written}`
    this.#pins.set(id, 1 + (this.#pins.get(id) ?? 0))
    return id
  }

  /** It need not stay for this one any longer. */
  unpin(id: string): void {
    const left = (this.#pins.get(id) ?? 0) - 1
    if (left > 0) this.#pins.set(id, left)
    else this.#pins.delete(id)
  }

  /** @returns the number of a new statement. */
  begin(): number {
    return ++this.#begun
  }

  /** A statement is in the database: sessions that it speaks for need the ones of others no more. */
  async written(count: number): Promise<void> {
    this.#written = count
    const { patience, self } = this.#ground
    const covered = [...this.#arrivals].filter(
      ([, { count: since, atMs }]) => count >= since + STATEMENTS && monotonicMs() - atMs >= this.#entryMs
    )
    const byStatement = new Map<string, string[]>()
    for (const [clientId, { owedIn }] of covered) {
      const others = byStatement.get(owedIn)
      if (others) others.push(clientId)
      else byStatement.set(owedIn, [clientId])
    }
    for (const [owedIn, clientIds] of byStatement) {
      for (const part of slices(clientIds)) {
        // a name that a release has put there meanwhile is another one, and stays
        const filter = { _id: { $in: [...part] }, owner: self, owedIn }
        await patience.until(() => sessionsOf(this.#ground).updateMany(filter, { $unset: { owedIn: '' } }), {
          isRead: true
        })
      }
    }
    for (const [clientId, arrival] of covered)
      if (this.#arrivals.get(clientId) === arrival) this.#arrivals.delete(clientId)
  }

  /** Removes statements of this broker that are neither the newest nor named by a session. */
  async clear(): Promise<void> {
    const { database, self } = this.#ground
    const statements = database.collection<StatementDocument>(COLLECTIONS.owed)
    const projection = { count: 1 }
    const found = await statements.find({ owner: self }, { projection }).toArray()
    for (const count of new Set(found.map(({ count: each }) => each))) {
      const id = `${self}/${count}`
      if (count >= this.#written || this.#pins.has(id)) continue
      if (await isNamed(this.#ground, id)) continue
      await statements.deleteMany({ owner: self, count })
    }
  }
}

/** Whether a session names a statement. */
export async function isNamed(ground: Ground, id: string): Promise<boolean> {
  return (await sessionsOf(ground).findOne({ owedIn: id }, { projection: { _id: 1 } })) !== null
}
