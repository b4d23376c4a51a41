/** A connection of a publisher sends a message. A payload is a message: it stands in no other one. */
export interface PublishEvent {
  readonly kind: 'publish'
  readonly connection: string
  readonly message: string
  readonly topic: string
  readonly qos: number
}

/** The publisher got PUBACK or PUBREC without an error. */
export interface AcceptEvent {
  readonly kind: 'accept'
  readonly connection: string
  readonly message: string
}

/** A client came to a broker, and its session was there or not. */
export interface ConnectEvent {
  readonly kind: 'connect'
  readonly session: string
  readonly broker: string
  readonly isPresent: boolean
  /** Clean Start: whatever was there has ended, also when `isPresent` is true by mistake. */
  readonly isClean?: boolean
}

/** SUBSCRIBE went out; its SUBACK came; UNSUBSCRIBE went out; its UNSUBACK came. */
export interface SubscriptionEvent {
  readonly kind: 'subscribe' | 'subscribed' | 'unsubscribe' | 'unsubscribed'
  readonly session: string
  readonly filter: string
}

/** A PUBLISH of the server. */
export interface ReceiveEvent {
  readonly kind: 'receive'
  readonly session: string
  readonly message: string
  readonly topic: string
  readonly qos: number
  readonly isDup: boolean
  /** False for one whose packet id is held by the client (QoS 2): its application does not get it again. */
  readonly isNew: boolean
}

/** The client acked a message with PUBACK, or ended it with PUBCOMP. */
export interface AckEvent {
  readonly kind: 'ack'
  readonly session: string
  readonly message: string
}

/** Something else that a reader of a history wants to know, such as the end of a broker. */
export interface NoteEvent {
  readonly kind: 'note'
  readonly text: string
}

/** What happened, as publishers and subscribers saw it. */
export type HistoryEvent =
  | PublishEvent
  | AcceptEvent
  | ConnectEvent
  | SubscriptionEvent
  | ReceiveEvent
  | AckEvent
  | NoteEvent

/**
 * All that publishers and subscribers of one test saw, in one order: they live in one process, so that whatever was
 * recorded first happened first.
 */
export class History {
  readonly events: HistoryEvent[] = []
  readonly #times: number[] = []
  readonly #changed = new Set<(event: HistoryEvent) => void>()

  record(event: HistoryEvent): void {
    this.events.push(event)
    this.#times.push(performance.timeOrigin + performance.now())
    for (const changed of this.#changed) changed(event)
  }

  /** Calls back after each event. @returns what ends that. */
  watch(changed: (event: HistoryEvent) => void): () => void {
    this.#changed.add(changed)
    return () => this.#changed.delete(changed)
  }

  /** How many events of a kind. */
  count(kind: HistoryEvent['kind']): number {
    return this.events.filter(event => event.kind === kind).length
  }

  /** All of it, each event with the time of day in milliseconds. */
  get lines(): string[] {
    return this.events.map((event, i) => JSON.stringify({ time: Math.round(this.#times[i]!), ...event }))
  }

  /** Everything about some words (a message, a session), and what was noted, for failure messages. */
  story(...words: readonly string[]): string {
    const start = this.#times[0] ?? 0
    return this.events
      .flatMap((event, i) => {
        const fits =
          event.kind === 'note' || Object.values(event).some(value => words.includes(String(value)))
        return fits ? [`${Math.round(this.#times[i]! - start)} ms: ${describeEvent(event)}`] : []
      })
      .join('\n')
  }
}

/** One line for failure messages. */
export function describeEvent(event: HistoryEvent): string {
  if (event.kind === 'note') return `---- ${event.text}`
  const { kind, ...rest } = event
  return `${kind} ${Object.entries(rest)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')}`
}
