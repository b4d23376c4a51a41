import { errorText } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { NoteStore } from '../store/store.ts'
import { encodeCursor } from './cursor.ts'
import type { NoteBook } from './notes.ts'
import { cursorChange } from './rows.ts'
import type { Session } from './session.ts'

/** Above this size of notes a checkpoint does not wait for its time. */
const MAX_NOTE_BYTES = 16 * 1024 * 1024

/** What a checkpoint works with. */
export interface CheckpointOptions {
  readonly store: NoteStore
  readonly notes: NoteBook
  readonly log: Logger
}

/** Writes the cursors of all sessions that changed into the state, so that the notes before are not needed any more. */
export class Checkpoint {
  readonly #options: CheckpointOptions
  #running: Promise<void> | null = null

  constructor(options: CheckpointOptions) {
    this.#options = options
  }

  /** Whether there are more notes than should be. */
  get isDue(): boolean {
    return this.#options.store.sizeBytes() > MAX_NOTE_BYTES
  }

  /** Makes a checkpoint unless nothing has changed; one at a time. Never rejects: what fails is logged and tried again. */
  run(): Promise<void> {
    this.#running ??= this.runOrFail()
      .catch((cause: unknown) => {
        this.#options.log.error({ err: cause }, `the cursors could not be stored: ${errorText(cause)}`)
      })
      .finally(() => {
        this.#running = null
      })
    return this.#running
  }

  /** The same, for the start: @throws QueueError QUEUE_STORE_FULL, QUEUE_STORE_FAILED */
  async runOrFail(): Promise<void> {
    const { store, notes } = this.#options
    if (!notes.hasChanged && store.sizeBytes() === 0) return
    let taken: readonly Session[] = []
    try {
      await store.checkpoint(() => {
        taken = notes.takeChanged().filter(session => !session.isEnded)
        return taken.map(session => cursorChange(session, encodeCursor(session)))
      })
    } catch (cause) {
      for (const session of taken) notes.touch(session)
      throw cause
    }
  }
}
