/** Runs tasks of the same key one after the other; tasks of different keys do not wait for each other. */
export class KeySerial {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Runs a task when all earlier ones of its key have ended. */
  run<Result>(key: string, task: () => Promise<Result>): Promise<Result> {
    const running = (this.#last.get(key) ?? Promise.resolve()).then(task, task)
    this.#last.set(key, running)
    const forget = () => {
      if (this.#last.get(key) === running) this.#last.delete(key)
    }
    running.then(forget, forget)
    return running
  }
}
