import type { ExecutionContext, TestFn } from 'ava'
import type { Posting, Store, StoreContents } from '../../src/store/store.ts'
import { plainBatch } from '../helpers/batches.ts'

/** A store under test. */
export interface StoreUnderTest {
  readonly store: Store
  /** A store on what the first one left, which is closed. Missing where nothing can be left. */
  again?(): Store
  /** What the lane may take at most when nothing in it is owed. */
  readonly emptyLaneBytes: number
}

/** How the suite gets a store. */
export interface ContractOptions {
  /** In front of each title. */
  readonly name: string
  /** One test after another, where they would share a slow server. */
  readonly isSerial?: boolean
  /** How many rows are many, where the server of the tests is slow; 3000 when left out. */
  readonly manyRows?: number
  /**
   * A new store, not yet open. Whatever it leaves is removed by a teardown. Without a program that it needs it marks the
   * test as skipped and answers with undefined.
   */
  create(t: ExecutionContext): Promise<StoreUnderTest | undefined>
}

const MANY_ROWS = 3_000

type Body = (t: ExecutionContext, under: Opened) => Promise<void>
type Define = (title: string, body: Body) => void

/** Two ways to define a test of the suite. */
export interface Definers {
  readonly define: Define
  /** For what shows only when the store is opened again; passes for a store that cannot be. */
  readonly defineKept: Define
  readonly manyRows: number
}

/** The definers of a suite. */
export function definersOf(test: TestFn, options: ContractOptions): Definers {
  const register = options.isSerial ? test.serial : test
  const define: Define = (title, body) =>
    register(`${options.name}: ${title}`, async t => {
      const under = await options.create(t)
      if (under) await body(t, await Opened.of(t, under))
    })
  const defineKept: Define = (title, body) =>
    define(title, async (t, under) => {
      if (under.isReopened) await body(t, under)
      else t.pass()
    })
  return { define, defineKept, manyRows: options.manyRows ?? MANY_ROWS }
}

/** A store that is open, and what it opened with. */
export class Opened {
  store: Store
  contents: StoreContents
  readonly #under: StoreUnderTest

  private constructor(under: StoreUnderTest, contents: StoreContents) {
    this.#under = under
    this.store = under.store
    this.contents = contents
  }

  static async of(t: ExecutionContext, under: StoreUnderTest): Promise<Opened> {
    const opened = new Opened(under, await under.store.open())
    t.teardown(() => opened.store.close())
    return opened
  }

  get emptyLaneBytes(): number {
    return this.#under.emptyLaneBytes
  }

  /** Whether {@link reopen} works. */
  get isReopened(): boolean {
    return this.#under.again !== undefined
  }

  /** Closes and opens again. */
  async reopen(): Promise<StoreContents> {
    await this.store.close()
    this.store = this.#under.again!()
    this.contents = await this.store.open()
    return this.contents
  }

  /** Commits `count` plain messages, `batch` at a time. */
  async fill(
    count: number,
    { batch = 50, ...spec }: { batch?: number; streamIds?: number[]; payload?: Buffer } = {}
  ) {
    const first = this.contents.nextSequence
    for (let at = first; at < first + count; at += batch)
      await this.store.lane.commit(plainBatch(at, Math.min(batch, first + count - at), spec))
  }
}

/** The sequences of each stream. */
export function postings(given: Iterable<Posting>): Record<number, number[]> {
  const streams: Record<number, number[]> = {}
  for (const { streamId, sequences } of given) (streams[streamId] ??= []).push(...sequences)
  return streams
}
