import { errorText } from '../errors.ts'
import type { Journal } from '../journal/journal.ts'
import { laneOf } from '../lane.ts'
import type { Logger } from '../log.ts'
import type { TopicCounters } from '../routing/topic-counters.ts'
import {
  type LaneStore,
  type MetaRow,
  REPLAY_STREAM,
  type StateChange,
  type StoreContents
} from '../store/store.ts'
import { type Message, ORIGIN } from '../wire/message.ts'
import type { Retained } from './retained.ts'
import type { Session } from './session.ts'
import type { Wills } from './wills.ts'

const META_KEY = 'replay'

/**
 * How far the rows are that follow from messages: retained messages, packet ids of inbound QoS 2 messages, wills that
 * were sent. These change with the acceptance of a message, and only the journal is written then. So such messages are
 * kept in a stream of their own until a checkpoint has written the rows; at the start what is left in it is gone through again.
 */
export class ReplayMark {
  /** All that follows from messages up to it is in rows. */
  through: number
  /** The newest message of the replay stream. */
  #highest = 0

  /** @param start the place in front of the first message of the lane. */
  constructor(meta: ReadonlyMap<string, MetaRow>, start: number) {
    this.through = Number(meta.get(META_KEY)?.through ?? start)
  }

  /** Whether a checkpoint would make a difference. */
  get isBehind(): boolean {
    return this.#highest > this.through
  }

  /** A message of the replay stream was committed. */
  committed(sequence: number): void {
    this.#highest = sequence
  }

  /** The row that says so. */
  change(through: number): StateChange {
    return { table: 'meta', key: META_KEY, row: { through } }
  }
}

/** What is gone through again at the start. */
export interface ReplayOptions {
  readonly contents: StoreContents
  readonly mark: ReplayMark
  readonly journal: Journal
  readonly sessions: readonly Session[]
  /** By session id: sequences of inbound messages whose packet id is free again. */
  readonly inboundFree: ReadonlyMap<number, ReadonlySet<number>>
  readonly retained: Retained
  readonly wills: Wills
}

/** Goes through the messages since the last checkpoint that changed more than the lane, in their order. */
export async function replay(options: ReplayOptions): Promise<void> {
  const { contents, mark, journal, sessions, inboundFree, retained, wills } = options
  const byId = new Map(sessions.map(session => [session.sessionId, session]))
  for (const sequence of sequencesAfter(contents, mark.through)) {
    const isOwn = laneOf(sequence) === journal.lane
    if (isOwn) mark.committed(sequence)
    const message = await journal.fetch(sequence)
    if (!message) continue
    if (!isOwn) {
      if (message.isRetained) retained.applyElsewhere(message, message.topic())
      continue
    }
    applyAgain(message, { byId, inboundFree, retained, wills })
  }
}

/** What follows from a message of the replay stream changes. */
export interface Replayed extends Pick<ReplayOptions, 'inboundFree' | 'retained' | 'wills'> {
  /** Sessions by their id. */
  readonly byId: ReadonlyMap<number, Session>
}

/** What followed from a message when it was accepted counts again. */
export function applyAgain(message: Message, { byId, inboundFree, retained, wills }: Replayed): void {
  if (message.isRetained) retained.apply(message, message.topic())
  if (message.origin === ORIGIN.will) wills.wasSent(message.originId)
  else if (message.origin === ORIGIN.inbound) takeId(message, byId, inboundFree)
}

/** A QoS 2 message that a session has published takes its packet id, unless notes say that it was given back. */
function takeId(
  message: Message,
  byId: ReadonlyMap<number, Session>,
  inboundFree: ReplayOptions['inboundFree']
): void {
  const { originId, sequence } = message
  if (inboundFree.get(originId)?.has(sequence)) return
  byId.get(originId)?.inbound.restore(message.packetId(), sequence)
}

function sequencesAfter({ postings }: StoreContents, through: number): number[] {
  const sequences: number[] = []
  for (const posting of postings) {
    if (posting.streamId !== REPLAY_STREAM) continue
    for (const sequence of posting.sequences) {
      // what other servers have accepted is in rows up to a place that only they know: all of it again does no harm
      if (laneOf(sequence) !== laneOf(through) || sequence > through) sequences.push(sequence)
    }
  }
  return sequences.sort((a, b) => a - b)
}

/** What is counted again at the start. */
export interface RecountOptions {
  /** Messages up to it are in the rows. */
  readonly through: number
  /** The last message that was kept. */
  readonly lastSequence: number
  readonly lane: LaneStore
  readonly counters: TopicCounters
  readonly log: Logger
}

/** Counts the messages since the last checkpoint by topic, as when they were accepted. */
export async function recount({ through, lastSequence, lane, counters, log }: RecountOptions): Promise<void> {
  try {
    for (let sequence = through + 1; sequence <= lastSequence; ) {
      const { messages, to } = await lane.read(sequence)
      for (const message of messages) {
        if (message.sequence < sequence) continue
        counters.counter(message.topic()).accepted(message.acceptedAt)
      }
      sequence = Math.max(to, sequence) + 1
    }
  } catch (cause) {
    // whoever waits for what cannot be read will be told; nothing hangs on these counts
    log.warn({ err: cause }, `messages before the start could not be counted: ${errorText(cause)}`)
  }
}
