/** Ids taken at a time from the store. */
const BLOCK = 100

/** Ids that no server has used, fetched from the store in blocks. */
export class IdBlock {
  readonly #fetch: (count: number) => Promise<number>
  #next = 0
  #end = 0
  #fetching: Promise<void> | null = null

  /** @param fetch answers with the first of so many ids. */
  constructor(fetch: (count: number) => Promise<number>) {
    this.#fetch = fetch
  }

  /** @throws what the store throws. */
  async next(): Promise<number> {
    while (this.#next >= this.#end) await this.#refill()
    return this.#next++
  }

  #refill(): Promise<void> {
    this.#fetching ??= this.#fetch(BLOCK)
      .then(first => {
        this.#next = first
        this.#end = first + BLOCK
      })
      .finally(() => {
        this.#fetching = null
      })
    return this.#fetching
  }
}
