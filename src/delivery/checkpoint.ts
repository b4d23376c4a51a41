import { errorText } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { TopicCounters } from '../routing/topic-counters.ts'
import type { NoteStore } from '../store/store.ts'
import { encodeCursor } from './cursor.ts'
import type { NoteBook } from './notes.ts'
import type { ReplayMark } from './replay.ts'
import type { Retained } from './retained.ts'
import { cursorChange } from './rows.ts'
import type { Session } from './session.ts'
import type { Wills } from './wills.ts'

/** Above this size of notes a checkpoint does not wait for its time. */
const MAX_NOTE_BYTES = 16 * 1024 * 1024

/** What a checkpoint works with. */
export interface CheckpointOptions {
  readonly store: NoteStore
  readonly notes: NoteBook
  readonly retained: Retained
  readonly wills: Wills
  readonly counters: TopicCounters
  readonly mark: ReplayMark
  /** Sequence of the last message on stable storage. */
  readonly headSequence: () => number
  readonly log: Logger
}

/**
 * Writes the cursors of all sessions that changed, the retained messages and what was counted by topic into the state, so
 * that notes and messages before are not needed any more to know them.
 */
export class Checkpoint {
  readonly #options: CheckpointOptions
  #running: Promise<void> | null = null

  constructor(options: CheckpointOptions) {
    this.#options = options
  }

  get #hasChanged(): boolean {
    const { store, notes, wills, counters, mark } = this.#options
    const isBehind = mark.isBehind || wills.hasGone || counters.hasChanged
    return isBehind || notes.hasChanged || store.sizeBytes() > 0
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
    const { store, notes, retained, wills, counters, mark, headSequence } = this.#options
    if (!this.#hasChanged) return
    if (retained.isFarBehind) await retained.flush()
    let taken: readonly Session[] = []
    let topics: readonly string[] = []
    let gone: readonly number[] = []
    let counted: readonly string[] = []
    let through = mark.through
    try {
      await store.checkpoint(() => {
        taken = notes.takeChanged().filter(session => !session.isEnded)
        topics = retained.takeDirty()
        gone = wills.takeGone()
        counted = counters.takeDirty()
        through = headSequence()
        const cursors = taken.map(session => cursorChange(session, encodeCursor(session)))
        const others = [...retained.changes(topics), ...wills.goneChanges(gone), ...counters.changes(counted)]
        return [...cursors, ...others, mark.change(through)]
      })
      mark.through = through
    } catch (cause) {
      for (const session of taken) notes.touch(session)
      retained.taint(topics)
      wills.taint(gone)
      counters.taint(counted)
      throw cause
    }
  }
}
