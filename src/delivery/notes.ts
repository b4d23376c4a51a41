import { errorText } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { NoteStore } from '../store/store.ts'
import { ByteReader, ByteWriter } from '../wire/bytes.ts'
import type { Session } from './session.ts'

/** Kinds of entries in a note. Rule for changing them: old kinds keep their meaning; a new meaning is a new kind. */
const SENT = 1
const ACKED = 2
/** Acks wait this long for company; what is lost with them is sent again. */
const ACK_DELAY_MS = 20

interface Page {
  /** First counter and sequences of first deliveries since the last note; counters run on without a gap. */
  runs: { counter: number; sequences: number[] }[]
  acked: number[]
}

/** What the note book works with. */
export interface NoteBookOptions {
  /** Null for a store that forgets: then nothing is noted. */
  readonly store: NoteStore | null
  readonly log: Logger
  /** Arms a timer for acks that nothing else carries along. */
  readonly later: (delayMs: number, callback: () => void) => void
  /** A note is written: what was held for it may go out. */
  readonly written: () => void
}

/**
 * Notes of what is about to be sent and what was acked, for all sessions together: one write a turn, before the bytes
 * leave. After a kill of the process they tell exactly what was inflight, under which packet ids.
 */
export class NoteBook {
  readonly #options: NoteBookOptions
  #pages = new Map<Session, Page>()
  /** Sessions whose state changed since the last checkpoint. */
  #changed = new Set<Session>()
  #hasSent = false
  #isWriting = false
  /** Somebody asked for a note while one was being written. */
  #isAsked = false
  #isTimed = false
  #hasFailed = false
  /** Notes are counted from 1; the present pages become note `#next`. */
  #next = 1
  #written = 0
  #idle: (() => void)[] = []

  constructor(options: NoteBookOptions) {
    this.#options = options
  }

  /** The note that deliveries of this turn will stand in; 0 when nothing is noted. */
  get pendingNote(): number {
    return this.#options.store ? this.#next : 0
  }

  /** The last note that is written. */
  get writtenNote(): number {
    return this.#written
  }

  /** A first delivery is about to be sent. */
  sent(session: Session, counter: number, sequence: number): void {
    if (!this.#options.store) return
    const { runs } = this.#page(session)
    const run = runs[runs.length - 1]
    if (run && run.counter + run.sequences.length === counter) run.sequences.push(sequence)
    else runs.push({ counter, sequences: [sequence] })
    this.#hasSent = true
  }

  /** A delivery was acked. */
  acked(session: Session, sequence: number): void {
    if (!this.#options.store) return
    this.#page(session).acked.push(sequence)
    if (this.#isTimed || this.#hasSent) return
    this.#isTimed = true
    this.#options.later(ACK_DELAY_MS, () => {
      this.#isTimed = false
      this.write()
    })
  }

  /** End of a turn: writes a note when something is about to be sent. */
  endTurn(): void {
    if (this.#hasSent) this.write()
  }

  /** Writes what there is; when a note is being written, afterwards. */
  write(): void {
    const { store } = this.#options
    this.#isAsked = this.#isWriting
    if (!store || this.#isWriting || this.#pages.size === 0) return
    const pages = this.#pages
    const note = this.#next++
    this.#pages = new Map()
    this.#hasSent = false
    this.#isWriting = true
    void store
      .append(encodeNote(pages))
      .catch((cause: unknown) => this.#failed(cause))
      .then(() => {
        this.#isWriting = false
        this.#written = note
        this.#options.written()
        if (this.#isAsked || this.#hasSent || this.#idle.length > 0) this.write()
        if (!this.#isWriting) for (const resolve of this.#idle.splice(0)) resolve()
      })
  }

  /** Resolves when everything noted so far is written. */
  drained(): Promise<void> {
    this.write()
    if (!this.#isWriting && this.#pages.size === 0) return Promise.resolve()
    return new Promise(resolve => this.#idle.push(resolve))
  }

  /** Whether there are sessions that changed since {@link takeChanged}. */
  get hasChanged(): boolean {
    return this.#changed.size > 0
  }

  /** The sessions changed since the last call. */
  takeChanged(): Session[] {
    const changed = [...this.#changed]
    this.#changed.clear()
    return changed
  }

  /** Marks a session as changed without a note. */
  touch(session: Session): void {
    if (this.#options.store) this.#changed.add(session)
  }

  #page(session: Session): Page {
    let page = this.#pages.get(session)
    if (!page) {
      page = { runs: [], acked: [] }
      this.#pages.set(session, page)
      this.#changed.add(session)
    }
    return page
  }

  /** Delivery goes on: a full disk is emptied by reading. The store marks that notes are missing. */
  #failed(cause: unknown): void {
    if (this.#hasFailed) return
    this.#hasFailed = true
    const text = `deliveries cannot be noted (${errorText(cause)}): they go on, but after a crash some may come twice`
    this.#options.log.error({ err: cause }, text)
  }
}

function encodeNote(pages: ReadonlyMap<Session, Page>): Buffer {
  const out = new ByteWriter()
  for (const [{ sessionId }, { runs, acked }] of pages) {
    for (const { counter, sequences } of runs) {
      out.number(SENT).number(sessionId).number(sequences.length).number(counter)
      writeDeltas(out, sequences)
    }
    if (acked.length === 0) continue
    out.number(ACKED).number(sessionId).number(acked.length)
    writeDeltas(out, acked)
  }
  return out.take()
}

function writeDeltas(out: ByteWriter, sequences: readonly number[]): void {
  let last = 0
  for (const sequence of sequences) {
    out.signed(sequence - last)
    last = sequence
  }
}

/** Takes the entries of notes read back. */
export interface NoteVisitor {
  sent(sessionId: number, counter: number, sequence: number): void
  acked(sessionId: number, sequence: number): void
}

/** Reads a note. Throws RangeError when it is cut off. */
export function readNote(note: Buffer, visitor: NoteVisitor): void {
  const input = new ByteReader(note)
  while (!input.isAtEnd) {
    const kind = input.number()
    const sessionId = input.number()
    const count = input.number()
    const counter = kind === SENT ? input.number() : 0
    let sequence = 0
    for (let i = 0; i < count; i++) {
      sequence += input.signed()
      if (kind === SENT) visitor.sent(sessionId, counter + i, sequence)
      else if (kind === ACKED) visitor.acked(sessionId, sequence)
      else throw new RangeError(`a note has an entry of unknown kind ${kind}`)
    }
  }
}
