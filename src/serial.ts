/** Runs tasks of the same key one after the other; tasks of different keys do not wait for each other. */
export class Serial<Key> {
  readonly #last = new Map<Key, Promise<unknown>>()

  /** Runs a task when all earlier ones of its key have ended, at once when there is none. */
  run<T>(key: Key, task: () => Promise<T>): Promise<T> {
    const earlier = this.#last.get(key)
    let begin: (running: Promise<T>) => void = () => {}
    const result = new Promise<T>(resolve => {
      begin = resolve
    })
    // before the task runs: what it asks for under its own key comes after it
    this.#last.set(key, result)
    if (earlier)
      earlier.then(
        () => begin(task()),
        () => begin(task())
      )
    else begin(task())
    const forget = () => {
      if (this.#last.get(key) === result) this.#last.delete(key)
    }
    result.then(forget, forget)
    return result
  }

  /** Resolves when no task is left, those started meanwhile included. */
  async idle(): Promise<void> {
    while (this.#last.size > 0) await Promise.allSettled([...this.#last.values()])
  }
}
