/** Places in ascending lists of sequences, the one with the lowest sequence on top: a binary heap. */
export class Merge<Place extends { readonly next: number }> {
  readonly #heap: Place[] = []

  /** The place whose message comes next. */
  get top(): Place | undefined {
    return this.#heap[0]
  }

  get size(): number {
    return this.#heap.length
  }

  push(place: Place): void {
    this.#rise(this.#heap.push(place) - 1)
  }

  /** The top's `next` has grown. */
  sink(): void {
    this.#sink(0)
  }

  #rise(from: number): void {
    const heap = this.#heap
    const moving = heap[from]!
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent]!.next <= moving.next) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = moving
  }

  #sink(from: number): void {
    const heap = this.#heap
    const moving = heap[from]!
    let at = from
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1]!.next < heap[child]!.next) child++
      if (heap[child]!.next >= moving.next) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = moving
  }

  pop(): void {
    this.#removeAt(0)
  }

  clear(): void {
    this.#heap.length = 0
  }

  /** Takes one place out, wherever it is. */
  remove(place: Place): void {
    const at = this.#heap.indexOf(place)
    if (at >= 0) this.#removeAt(at)
  }

  #removeAt(at: number): void {
    const last = this.#heap.pop()
    if (last === undefined || at >= this.#heap.length) return
    this.#heap[at] = last
    this.#sink(at)
    if (this.#heap[at] === last) this.#rise(at)
  }
}
