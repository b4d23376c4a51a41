import { errorText } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { TopicCounters } from '../routing/topic-counters.ts'
import { Serial } from '../serial.ts'
import type { NoteStore, StateChange, StateStore } from '../store/store.ts'
import { encodeCursor } from './cursor.ts'
import type { NoteBook } from './notes.ts'
import type { ReplayMark } from './replay.ts'
import type { Retained } from './retained.ts'
import { cursorChange } from './rows.ts'
import type { Session } from './session.ts'
import type { Wills } from './wills.ts'

/** Above this size of notes a checkpoint does not wait for its time. */
const MAX_NOTE_BYTES = 16 * 1024 * 1024

/** Key of the order in which rows are written. */
const ROWS = 'rows'

/** What a checkpoint works with. */
export interface CheckpointOptions {
  readonly store: NoteStore
  readonly state: StateStore
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
  /** A row is written by one at a time. */
  readonly #serial = new Serial<string>()
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
  runOrFail(): Promise<void> {
    return this.#serial.run(ROWS, () => this.#make())
  }

  /**
   * Writes down the rows of sessions that have come with more than their own rows say, and what else follows from what
   * came with them. The notes of this server stay: entries that a row knows already change nothing.
   * @throws as {@link runOrFail}
   */
  write(sessions: readonly Session[]): Promise<void> {
    return this.#serial.run(ROWS, async () => {
      const { retained, state } = this.#options
      if (retained.isFarBehind) await retained.flush()
      const followed = new FollowedRows(this.#options)
      try {
        await state.write([...cursorsOf(sessions), ...followed.take()], { sync: true })
      } catch (cause) {
        followed.putBack()
        throw cause
      }
    })
  }

  async #make(): Promise<void> {
    const { store, notes, retained, counters, mark, headSequence } = this.#options
    if (!this.#hasChanged) return
    if (retained.isFarBehind) await retained.flush()
    const followed = new FollowedRows(this.#options)
    let taken: readonly Session[] = []
    let counted: readonly string[] = []
    let through = mark.through
    try {
      await store.checkpoint(() => {
        taken = notes.takeChanged()
        counted = counters.takeDirty()
        through = headSequence()
        const rows = [...cursorsOf(taken), ...followed.take(), ...counters.changes(counted)]
        return [...rows, mark.change(through)]
      })
      mark.through = through
    } catch (cause) {
      for (const session of taken) if (!session.isEnded) notes.touch(session)
      followed.putBack()
      counters.taint(counted)
      throw cause
    }
  }
}

/** Rows that follow from messages and are behind: retained messages, and wills that are over. */
class FollowedRows {
  readonly #retained: Retained
  readonly #wills: Wills
  #topics: readonly string[] = []
  #gone: readonly number[] = []

  constructor({ retained, wills }: Pick<CheckpointOptions, 'retained' | 'wills'>) {
    this.#retained = retained
    this.#wills = wills
  }

  /** As they are now; they count as written. */
  take(): StateChange[] {
    this.#topics = this.#retained.takeDirty()
    this.#gone = this.#wills.takeGone()
    return [...this.#retained.changes(this.#topics), ...this.#wills.goneChanges(this.#gone)]
  }

  /** They could not be written. */
  putBack(): void {
    this.#retained.taint(this.#topics)
    this.#wills.taint(this.#gone)
  }
}

function cursorsOf(sessions: readonly Session[]): StateChange[] {
  return sessions
    .filter(({ isEnded }) => !isEnded)
    .map(session => cursorChange(session, encodeCursor(session)))
}
