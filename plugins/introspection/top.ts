/** The first few of all that is offered, in order, one for each rank. */
export class Top<Item> {
  readonly #limit: number
  readonly #compare: (a: Item, b: Item) => number
  readonly #items: Item[] = []

  /**
   * @param limit most items kept.
   * @param compare order; items that compare as 0 are one, and the one offered last stays.
   */
  constructor(limit: number, compare: (a: Item, b: Item) => number) {
    this.#limit = limit
    this.#compare = compare
  }

  /** Takes an item in if it is among the first. */
  offer(item: Item): void {
    const items = this.#items
    if (this.#limit === 0) return
    const isFull = items.length === this.#limit
    if (isFull && this.#compare(item, items[items.length - 1]!) > 0) return
    let low = 0
    let high = items.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const order = this.#compare(item, items[middle]!)
      if (order === 0) {
        items[middle] = item
        return
      }
      if (order < 0) high = middle
      else low = middle + 1
    }
    items.splice(low, 0, item)
    if (isFull) items.pop()
  }

  /** What was kept, in order. */
  items(): readonly Item[] {
    return this.#items
  }
}

/** Order of texts, by UTF-16 code units: the same everywhere, unlike the order of a language. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
