import { errorText } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { NoteStore } from '../store/store.ts'
import { encodeNote, needsSync, newPage, type Page } from './note-format.ts'
import type { Session } from './session.ts'

/** Acks wait this long for company; what is lost with them is sent again. */
const ACK_DELAY_MS = 20
/** What must be synced and could not be is tried again after this. */
const RETRY_MS = 500

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

/** The page of a session, and what of it must be synced. */
interface OpenPage {
  readonly page: Page
  /** The same entries again, as far as they must be synced; null when none must. */
  synced: Page | null
}

/**
 * Notes of what is about to be sent and what was acked, for all sessions together: one write a turn, before the bytes
 * leave. After a kill of the process they tell exactly what was inflight, under which packet ids. What "exactly once"
 * rests on (QoS 2: what was sent, PUBREC, PUBREL) is synced as well. @see MQTT 5.0 section 4.3.3
 */
export class NoteBook {
  readonly #options: NoteBookOptions
  #pages = new Map<Session, OpenPage>()
  /** Sessions whose state changed since the last checkpoint. */
  #changed = new Set<Session>()
  #isUrgent = false
  #isSyncing = false
  #isWriting = false
  /** Somebody asked for a note while one was being written. */
  #isAsked = false
  #isTimed = false
  #hasFailed = false
  /** Notes are counted from 1; the present pages become note `#next`. */
  #next = 1
  #written = 0
  #synced = 0
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

  /** The last note up to which all that must be synced is. */
  get syncedNote(): number {
    return this.#synced
  }

  /** A first delivery is about to be sent. @param flags bits of `ENTRY`. */
  sent(session: Session, counter: number, sequence: number, flags: number): void {
    if (!this.#options.store) return
    const open = this.#page(session)
    addRun(open.page, counter, sequence, flags)
    if (needsSync(flags)) addRun(this.#sync(session, open), counter, sequence, flags)
    this.#isUrgent = true
  }

  /** PUBREC has come; PUBREL waits for the note. */
  released(session: Session, counter: number): void {
    if (!this.#options.store) return
    const open = this.#page(session)
    open.page.released.push(counter)
    this.#sync(session, open).released.push(counter)
  }

  /** PUBREL has come for the message with this sequence; PUBCOMP waits for the note. */
  inboundFree(session: Session, sequence: number): void {
    if (!this.#options.store) return
    const open = this.#page(session)
    open.page.inboundFree.push(sequence)
    this.#sync(session, open).inboundFree.push(sequence)
  }

  /** A delivery was acked. */
  acked(session: Session, counter: number): void {
    if (!this.#options.store) return
    this.#page(session).page.acked.push(counter)
    if (this.#isTimed || this.#isUrgent) return
    this.#isTimed = true
    this.#options.later(ACK_DELAY_MS, () => {
      this.#isTimed = false
      this.write()
    })
  }

  /** End of a turn: writes a note when something waits for it. */
  endTurn(): void {
    if (this.#isUrgent) this.write()
  }

  /** Writes what there is; when a note is being written, afterwards. */
  write(): void {
    const { store } = this.#options
    this.#isAsked = this.#isWriting
    if (!store || this.#isWriting || this.#pages.size === 0) return
    const pages = this.#pages
    const note = this.#next++
    const sync = this.#isSyncing
    this.#pages = new Map()
    this.#isUrgent = false
    this.#isSyncing = false
    this.#isWriting = true
    store.append(encodeNote(idsOf(pages)), { sync }).then(
      () => this.#finish(note, true),
      (cause: unknown) => {
        this.#failed(cause)
        this.#carryOver(pages)
        this.#finish(note, !sync)
      }
    )
  }

  #finish(note: number, isSafe: boolean): void {
    this.#isWriting = false
    this.#written = note
    if (isSafe) this.#synced = note
    this.#options.written()
    if (isSafe && (this.#isAsked || this.#isUrgent || this.#idle.length > 0)) this.write()
    if (!this.#isWriting) for (const resolve of this.#idle.splice(0)) resolve()
  }

  /** Resolves when everything noted so far is written, or could not be. */
  drained(): Promise<void> {
    this.write()
    if (!this.#isWriting && this.#pages.size === 0) return Promise.resolve()
    return new Promise(resolve => this.#idle.push(resolve))
  }

  /** Whether there are sessions that changed since {@link takeChanged}. */
  get hasChanged(): boolean {
    return this.#changed.size > 0
  }

  /** The sessions changed since the last call; those with an open page may go on in it, and count as changed again. */
  takeChanged(): Session[] {
    const changed = [...this.#changed]
    this.#changed = new Set(this.#pages.keys())
    return changed
  }

  /** Marks a session as changed without a note. */
  touch(session: Session): void {
    if (this.#options.store) this.#changed.add(session)
  }

  #page(session: Session): OpenPage {
    let open = this.#pages.get(session)
    if (!open) {
      open = { page: newPage(), synced: null }
      this.#pages.set(session, open)
      this.#changed.add(session)
    }
    return open
  }

  #sync(session: Session, open: OpenPage): Page {
    this.#isSyncing = true
    this.#isUrgent = true
    session.syncNote = this.#next
    open.synced ??= newPage()
    return open.synced
  }

  /** Delivery goes on: a full disk is emptied by reading. The store marks that notes are missing. */
  #failed(cause: unknown): void {
    if (this.#hasFailed) return
    this.#hasFailed = true
    const text = `deliveries cannot be noted (${errorText(cause)}): they go on, but after a crash some may come twice; QoS 2 waits`
    this.#options.log.error({ err: cause }, text)
  }

  /** What had to be synced and was not goes into the next note, before anything else. */
  #carryOver(failed: ReadonlyMap<Session, OpenPage>): void {
    const later = this.#pages
    this.#pages = new Map()
    for (const [session, { synced }] of failed) {
      if (!synced || session.isEnded) continue
      this.#pages.set(session, { page: copyOf(synced), synced })
      this.#changed.add(session) // the store may need a checkpoint before it takes notes again
      this.#isSyncing = true
    }
    for (const [session, open] of later) this.#pages.set(session, join(this.#pages.get(session), open))
    if (this.#isSyncing) this.#options.later(RETRY_MS, () => this.write())
  }
}

function addRun({ runs }: Page, counter: number, sequence: number, flags: number): void {
  const run = runs[runs.length - 1]
  if (run && run.flags === flags && run.counter + run.sequences.length === counter)
    run.sequences.push(sequence)
  else runs.push({ flags, counter, sequences: [sequence] })
}

function copyOf({ runs, released, acked, inboundFree }: Page): Page {
  return {
    runs: runs.map(run => ({ ...run, sequences: [...run.sequences] })),
    released: [...released],
    acked: [...acked],
    inboundFree: [...inboundFree]
  }
}

function join(earlier: OpenPage | undefined, later: OpenPage): OpenPage {
  if (!earlier) return later
  const synced = earlier.synced && later.synced ? both(earlier.synced, later.synced) : earlier.synced
  return { page: both(earlier.page, later.page), synced: synced ?? later.synced }
}

function both(a: Page, b: Page): Page {
  return {
    runs: [...a.runs, ...b.runs],
    released: [...a.released, ...b.released],
    acked: [...a.acked, ...b.acked],
    inboundFree: [...a.inboundFree, ...b.inboundFree]
  }
}

function* idsOf(pages: ReadonlyMap<Session, OpenPage>): Iterable<[number, Page]> {
  for (const [{ sessionId }, { page }] of pages) yield [sessionId, page]
}
