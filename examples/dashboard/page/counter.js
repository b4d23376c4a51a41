/**
 * Counts customers: how many there were when the count was read, and each event since then, once.
 *
 * Customers are numbered without gaps. A count says up to which number it goes; an event with a number up to that
 * is in it already, whatever the order in which both arrive, and however often the event is delivered.
 */
export class Counter {
  #count = 0
  #through = -1
  /** Numbers above `#through`; there are gaps below them. */
  #since = new Set()

  /** How many customers there are; undefined before the first count. */
  get total() {
    return this.#through < 0 ? undefined : this.#count + this.#since.size
  }

  /** Takes a count that was read: `{ count, through }`. An older one than known changes nothing. */
  counted({ count, through }) {
    if (through < this.#through) return
    this.#count = count
    this.#through = through
    for (const number of this.#since) if (number <= through) this.#since.delete(number)
    this.#advance()
  }

  /** Takes an event; whether it is a new one. */
  created(number) {
    if (number <= this.#through || this.#since.has(number)) return false
    this.#since.add(number)
    this.#advance()
    return true
  }

  /** Counts those that have no gap below them for good, so that a page that is open for weeks needs no more room. */
  #advance() {
    while (this.#through >= 0 && this.#since.delete(this.#through + 1)) {
      this.#through += 1
      this.#count += 1
    }
  }
}
