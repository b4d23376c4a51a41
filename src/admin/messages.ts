import { packetOf } from '../broker/broker.ts'
import type { Clock } from '../clock.ts'
import type { MessageProperties } from '../control.ts'
import { sequencesOf } from '../delivery/backlog.ts'
import type { Session } from '../delivery/session.ts'
import type { Sessions } from '../delivery/sessions.ts'
import { notFound, QueueError } from '../errors.ts'
import type { Journal } from '../journal/journal.ts'
import { inLane } from '../lane.ts'
import type { LaneNames } from '../lane-names.ts'
import type { MessageFilter, MessagePart, MessageReader, OwedMessage, StoredMessage } from '../messages.ts'
import { covers } from '../routing/filter-relation.ts'
import type { LaneStore, Store } from '../store/store.ts'
import type { Message } from '../wire/message.ts'

/** So many blocks of the lane are looked at for one part of a list. */
const BLOCKS_PER_PART = 32
/** So many places are looked at for one part of what a session is owed. */
const MOST_LOOKS = 2_000

/** What messages are read from. */
export interface MessageSources {
  readonly store: Pick<Store, 'lane'>
  readonly journal: Journal
  readonly sessions: Sessions
  readonly clock: Clock
  readonly laneNames: LaneNames
}

/** Reads kept messages for whoever administers the server. */
export class Messages implements MessageReader {
  readonly #sources: MessageSources

  constructor(sources: MessageSources) {
    this.#sources = sources
  }

  async byId(id: string): Promise<StoredMessage | null> {
    const { laneNames, journal } = this.#sources
    const sequence = laneNames.sequenceOf(id)
    if (sequence === 0 || !journal.heads.covers(sequence)) return null
    const message = await journal.fetch(sequence)
    return message && this.#stored(message)
  }

  async owed(clientId: string, after: string | null, limit: number): Promise<MessagePart<OwedMessage>> {
    const session = this.#sources.sessions.get(clientId)
    if (!session) throw notFound('session', clientId)
    assertPlace(after, /^[iq]\d{1,15}$/)
    const items: OwedMessage[] = []
    let next: string | null = null
    let looks = 0
    for (const place of placesOf(session, after)) {
      if (items.length === limit || looks++ === MOST_LOOKS) return { items, next }
      const { status, sequence } = place
      const message = await this.#sources.journal.fetch(sequence)
      next = `${status === 'inflight' ? 'i' : 'q'}${sequence}`
      if (status === 'queued' && message && this.#isExpired(message)) continue
      items.push({ status, sequence, message: message && this.#stored(message) })
    }
    return { items, next: null }
  }

  async newest(
    filter: MessageFilter,
    before: string | null,
    limit: number
  ): Promise<MessagePart<StoredMessage>> {
    const { journal, store } = this.#sources
    assertPlace(before, /^\d{1,15}$/)
    const items: StoredMessage[] = []
    let sequence = before === null ? journal.headSequence : Number(before) - 1
    for (let blocks = 0; sequence > 0; blocks++) {
      if (blocks === BLOCKS_PER_PART) return { items, next: String(sequence + 1) }
      const block = await store.lane.read(sequence)
      for (const message of upTo(block.messages, sequence)) {
        if (message.acceptedAt < (filter.from ?? 0)) return { items, next: null }
        if (!isWanted(message, filter)) continue
        if (items.length === limit) return { items, next: String(message.sequence + 1) }
        items.push(this.#stored(message))
      }
      sequence = block.from - 1
    }
    return { items, next: null }
  }

  #isExpired({ expiresAt }: Message): boolean {
    return expiresAt !== 0 && expiresAt <= this.#sources.clock.now()
  }

  #stored(message: Message): StoredMessage {
    const { sequence, qos, isRetained, isV5, publisher, acceptedAt, expiresAt } = message
    return {
      id: this.#sources.laneNames.idOf(sequence),
      sequence: inLane(sequence),
      topic: message.topic(),
      qos,
      isRetained,
      payload: message.payload(),
      properties: isV5 ? ((packetOf(message).properties ?? {}) as MessageProperties) : null,
      publisher,
      acceptedAt,
      expiresAt: expiresAt === 0 ? null : expiresAt
    }
  }
}

/** @throws QueueError QUEUE_REQUEST_INVALID for a place that no part has ended with. */
function assertPlace(place: string | null, form: RegExp): void {
  if (place === null || form.test(place)) return
  throw new QueueError('QUEUE_REQUEST_INVALID', {
    detail: { problem: 'the place to go on from is not one of this server' }
  })
}

interface PlaceOwed {
  readonly status: OwedMessage['status']
  readonly sequence: number
}

/** What a session has still to ack, behind a place that an earlier part ended with. */
function* placesOf(session: Session, after: string | null): Generator<PlaceOwed, void> {
  const place = after === null ? 0 : Number(after.slice(1))
  if (!after?.startsWith('q')) {
    const sequences = [...session.inflight.entries()].map(({ sequence }) => sequence).sort((a, b) => a - b)
    for (const sequence of sequences) if (sequence > place) yield { status: 'inflight', sequence }
  }
  const low = after?.startsWith('q') ? place : 0
  const claims = session.claims().map(claim => ({ ...claim, low: Math.max(claim.low, low) }))
  for (const sequence of sequencesOf(claims)) yield { status: 'queued', sequence }
}

/** The messages of a block up to a sequence, the newest first. */
function* upTo(messages: Awaited<ReturnType<LaneStore['read']>>['messages'], sequence: number) {
  for (let i = messages.length - 1; i >= 0; i--) {
    const message = messages[i]!
    if (message.sequence <= sequence) yield message
  }
}

function isWanted(message: Message, { topicFilter, publisher, to }: MessageFilter): boolean {
  if (to !== undefined && message.acceptedAt >= to) return false
  if (publisher !== undefined && message.publisher !== publisher) return false
  // a topic is a filter that matches itself alone
  return topicFilter === undefined || covers(topicFilter, message.topic())
}
