import { type Clock, systemClock } from '../clock.ts'
import { ReplayMark } from '../delivery/replay.ts'
import type { BrokerRow, ClusterStore, SessionParts } from '../store/cluster.ts'
import type { Store, StoreContents } from '../store/store.ts'
import { refusal } from './place.ts'
import { headOf } from './source.ts'

/** From one look to the next. */
const LOOK_MS = 100
/** Who is still called live after so long has been seen to live. */
const LIVES_MS = 3_000
/** What is not taken over after so long will not be. */
const GIVE_UP_MS = 30_000

/** A broker as the others see it; `isEmptied`: it does not live, and all that it has left was taken over. */
type Other = BrokerRow & { readonly isEmptied?: boolean }

/**
 * What a store holds as a whole. In one that several brokers share, each hands over what it owns itself; what those
 * that have stopped own is taken over first, as any broker does that lives on.
 * @throws QueueError QUEUE_REQUEST_INVALID when another broker lives, or has not stopped cleanly.
 */
export async function wholeOf(
  store: Store,
  contents: StoreContents,
  name: string,
  clock: Clock = systemClock
): Promise<StoreContents> {
  const { cluster } = store
  const others = (contents.lanes?.length ?? 1) - 1
  if (!cluster || others === 0) return contents
  const taken = new Taken(contents)
  await cluster.start(taken.listener, null)
  try {
    await untilEmptied(cluster, taken, { others, name, clock })
  } finally {
    await cluster.stop()
  }
  return taken.contents()
}

interface Waiting {
  readonly others: number
  readonly name: string
  readonly clock: Clock
}

async function untilEmptied(
  cluster: ClusterStore,
  taken: Taken,
  { others, name, clock }: Waiting
): Promise<void> {
  const startedAt = clock.now()
  for (;;) {
    const rows: readonly Other[] = cluster.brokers().filter(({ isSelf }) => !isSelf)
    if (taken.unsettled) {
      throw refusal(
        `a broker on ${name} did not stop cleanly: start a server on it, stop it when it has taken over what is left, then it can be moved`
      )
    }
    if (rows.length >= others && rows.every(({ isEmptied }) => isEmptied)) return
    assertGoingOn(rows, name, clock.now() - startedAt)
    await new Promise<void>(resolve => {
      clock.after(LOOK_MS, resolve)
    })
  }
}

function assertGoingOn(rows: readonly Other[], name: string, passedMs: number): void {
  const alive = rows.filter(({ state }) => state === 'live').map(row => row.name)
  if (alive.length > 0 && passedMs > LIVES_MS) {
    throw refusal(`brokers live on ${name} (${alive.join(', ')}): stop them first`)
  }
  if (passedMs <= GIVE_UP_MS) return
  const left = rows.filter(({ isEmptied }) => !isEmptied).map(row => row.name)
  throw refusal(
    `what brokers have left on ${name} is not all taken over (${left.join(', ')}): start a server on it and stop it later`
  )
}

/** What was handed over at open, and what was taken over since. */
class Taken {
  readonly #contents: StoreContents
  readonly #parts: SessionParts[] = []
  /** Whether somebody has left notes: what they say is not in the cursors. */
  unsettled = false
  readonly listener: Parameters<ClusterStore['start']>[0] = {
    laneFound() {},
    followed() {},
    streamsGone() {},
    fenced() {},
    adopt: async parts => this.#adopt(parts),
    release: async () => refuse(),
    answer: async () => refuse()
  }

  constructor(contents: StoreContents) {
    this.#contents = contents
  }

  contents(): StoreContents {
    const all = [this.#contents, ...this.#parts]
    return {
      ...this.#contents,
      sessions: all.flatMap(({ sessions }) => sessions),
      subscriptions: all.flatMap(({ subscriptions }) => subscriptions),
      cursors: new Map(all.flatMap(({ cursors }) => [...cursors])),
      wills: new Map(all.flatMap(({ wills }) => [...wills])),
      meta: this.#meta()
    }
  }

  /** The rows are of the own lane. Of the first lane, all that follows from messages is in rows: it was settled. */
  #meta(): StoreContents['meta'] {
    const { meta, laneIndex = 0 } = this.#contents
    if (laneIndex === 0) return meta
    const mark = new ReplayMark(meta, 0).change(headOf(this.#contents))
    return new Map(mark.table === 'meta' && mark.row ? [[mark.key, mark.row]] : [])
  }

  #adopt(parts: SessionParts): void {
    if (parts.mayHaveLost || parts.notes.length > 0 || parts.replayed.length > 0) {
      this.unsettled = true
      refuse() // it stays for a server
    }
    this.#parts.push(parts)
  }
}

function refuse(): never {
  throw refusal('nothing is served while a store is moved')
}
