import { systemClock } from '../../src/clock.ts'
import type { NoteVisitor } from '../../src/delivery/note-format.ts'
import { ReplayMark } from '../../src/delivery/replay.ts'
import { Retained } from '../../src/delivery/retained.ts'
import type { SessionHost } from '../../src/delivery/session.ts'
import { Wills } from '../../src/delivery/wills.ts'
import { silentLog } from '../../src/log.ts'
import { TopicCounters } from '../../src/routing/topic-counters.ts'
import type { StateStore } from '../../src/store/store.ts'

const nothing = () => {}

/** A session host that does nothing. */
export const idleHost: SessionHost = {
  clock: systemClock,
  wake: nothing,
  acked: nothing,
  released: nothing,
  inboundFree: nothing
}

/** A visitor of notes that looks at what a test names. */
export function visitor(looks: Partial<NoteVisitor>): NoteVisitor {
  return {
    sent: nothing,
    ackedSequence: nothing,
    released: nothing,
    acked: nothing,
    inboundFree: nothing,
    ...looks
  }
}

/** What a checkpoint writes besides cursors, all of it empty. */
export function emptyTables(state: StateStore) {
  const wills = new Wills({
    ...{ state, clock: systemClock, log: silentLog, shared: null, graceMs: 0 },
    publish: () => Promise.resolve()
  })
  const retained = new Retained({ state, clock: systemClock, isShared: false })
  return {
    counters: new TopicCounters(),
    retained,
    wills,
    mark: new ReplayMark(new Map(), 0),
    headSequence: () => 0
  }
}
