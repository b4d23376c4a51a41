import { ENTRY } from '../delivery/inflight.ts'
import { encodeNote, newPage, type Page } from '../delivery/note-format.ts'
import { directFilter, isDirect } from '../delivery/subscription.ts'
import type { SessionRow, StreamRow, SubscriptionRow } from '../store/store.ts'
import { filterProblem } from '../topic.ts'
import { type AedesSubscription, secondsOf } from './aedes-documents.ts'

const PACKET_IDS = 65_535

/** A session in the making. */
interface Found {
  readonly sessionId: number
  /** By filter. */
  readonly subscriptions: Map<string, AedesSubscription>
  createdAt: number
}

/** The rows of sessions. */
export interface SessionTables {
  readonly streams: readonly StreamRow[]
  readonly sessions: readonly SessionRow[]
  readonly subscriptions: readonly SubscriptionRow[]
}

/** The clients that Aedes knew, with a session each: those that have subscriptions, or are owed something. */
export class AedesSessions {
  readonly #byClient = new Map<string, Found>()
  readonly #streams = new Map<string, StreamRow>()
  readonly #direct = new Set<string>()
  /** Filters that are not taken over, with the reason. */
  readonly refused: string[] = []

  /** Takes in a subscription; one that there cannot be here is refused. */
  subscribe(subscription: AedesSubscription): void {
    const { clientId, topic, _id: id } = subscription
    const problem = refusalOf(topic)
    if (problem) this.refused.push(`subscription of ${clientId} to ${JSON.stringify(topic)}: ${problem}`)
    else this.#session(clientId, secondsOf(id) * 1_000).subscriptions.set(topic, subscription)
  }

  /** The session of a client, made when there is none. */
  idOf(clientId: string, createdAt = 0): number {
    return this.#session(clientId, createdAt).sessionId
  }

  /** The stream of what is for this client alone. */
  directStreamOf(clientId: string): number {
    this.idOf(clientId)
    this.#direct.add(clientId)
    return this.#stream(directFilter(clientId)).streamId
  }

  /** @param leftAt when the sessions were left, milliseconds since 1970. Nobody kept how long they last: for ever. */
  tables(leftAt: number): SessionTables {
    const sessions: SessionRow[] = []
    const subscriptions: SubscriptionRow[] = []
    for (const [clientId, { sessionId, createdAt, subscriptions: found }] of this.#byClient) {
      sessions.push({ sessionId, clientId, createdAt, expirySeconds: null, disconnectedAt: leftAt })
      for (const one of found.values()) subscriptions.push(this.#row(sessionId, one))
      if (this.#direct.has(clientId))
        subscriptions.push(this.#directRow(clientId, sessionId, createdAt, found))
    }
    return { streams: [...this.#streams.values()], sessions, subscriptions }
  }

  #session(clientId: string, createdAt: number): Found {
    const known = this.#byClient.get(clientId)
    if (known) return known
    const session = { sessionId: this.#byClient.size + 1, subscriptions: new Map(), createdAt }
    this.#byClient.set(clientId, session)
    return session
  }

  #stream(filter: string): StreamRow {
    const known = this.#streams.get(filter)
    if (known) return known
    const stream = { streamId: this.#streams.size + 1, filter }
    this.#streams.set(filter, stream)
    return stream
  }

  #row(sessionId: number, { topic, qos, nl, rap, ...rest }: AedesSubscription): SubscriptionRow {
    return {
      ...this.#place(sessionId, topic),
      qos: Math.min(Math.max(qos, 0), 2),
      createdAt: secondsOf(rest._id) * 1_000,
      identifier: rest.subscriptionIdentifier ?? 0,
      isNoLocal: nl ?? false,
      keepsRetain: rap ?? false
    }
  }

  /** What was queued keeps the highest QoS that the client has asked for anywhere. */
  #directRow(clientId: string, sessionId: number, createdAt: number, found: Found['subscriptions']) {
    const highest = Math.max(...[...found.values()].map(({ qos }) => qos))
    const qos = found.size === 0 ? 2 : Math.min(Math.max(highest, 1), 2)
    const plain = { identifier: 0, isNoLocal: false, keepsRetain: false }
    return { ...this.#place(sessionId, directFilter(clientId)), qos, createdAt, ...plain }
  }

  #place(sessionId: number, filter: string) {
    return { sessionId, filter, streamId: this.#stream(filter).streamId, fromSequence: 0 }
  }
}

/** A message that was sent to a client and not acked, or of which only PUBREL is owed. */
export interface SentBefore {
  readonly sequence: number
  readonly packetId: number
  readonly qos: 1 | 2
  readonly isReleased: boolean
}

/** A note that says what was sent to a session, in this order, so that it comes again under the same packet ids. */
export function noteOf(sessionId: number, sent: readonly SentBefore[]): Buffer {
  const page: Page = newPage()
  let counter = -1
  for (const { sequence, packetId, qos, isReleased } of sent) {
    counter = nextCounter(counter, packetId)
    const flags = (qos === 2 ? ENTRY.qos2 : 0) | (isReleased ? ENTRY.aside : 0)
    page.runs.push({ flags, counter, sequences: [sequence] })
    if (isReleased) page.released.push(counter)
  }
  return encodeNote([[sessionId, page]])
}

/** The first counter behind another one that stands for a packet id. */
function nextCounter(last: number, packetId: number): number {
  const first = last + 1
  return first + ((packetId - 1 - (first % PACKET_IDS) + PACKET_IDS) % PACKET_IDS)
}

function refusalOf(filter: string): string | null {
  if (filter.startsWith('$share/')) return 'shared subscriptions are not supported'
  return isDirect(filter) ? 'this filter is the server’s own' : filterProblem(filter)
}
