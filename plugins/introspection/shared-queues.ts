import { queueNames } from './queue-names.ts'
import type { EventTally, QueueTally } from './queue-tally.ts'
import { tallyQueues } from './queue-tally.ts'
import type { Introspected } from './source.ts'
import { compareText, Top } from './top.ts'
import { Turn } from './turn.ts'

/** Most names that a broker tells at once. */
const MOST_NAMES = 10_000

/** Which queues are wanted: one, or those whose name begins so. */
export type NameQuestion = { readonly queue: string } | { readonly prefix: string }

/** Which queues are counted, and how. */
export interface TallyQuestion {
  readonly queues: readonly string[]
  readonly maxEvents: number
  readonly hasBacklogs: boolean
}

/** Names of queues on all brokers that have answered. */
export interface SharedNames {
  readonly names: ReadonlySet<string>
  readonly missing: readonly string[]
}

/** What was counted on all brokers that have answered. */
export interface SharedTallies {
  readonly tallies: ReadonlyMap<string, QueueTally>
  readonly missing: readonly string[]
}

const NAMES = 'queues/names'
const TALLIES = 'queues/tallies'

/**
 * Queues of all brokers. A broker counts queues that it is asked about, also such as it does not know: a filter with a
 * wildcard reaches them.
 */
export class SharedQueues {
  readonly #context: Introspected

  constructor(context: Introspected) {
    this.#context = context
    context.peers?.answer(NAMES, async question => [
      ...(await this.#names(question as NameQuestion, new Turn()))
    ])
    context.peers?.answer(TALLIES, question => this.#count(question as TallyQuestion, new Turn()))
  }

  /** Whether other brokers may have something of a queue too. */
  get isShared(): boolean {
    return this.#context.peers !== null
  }

  /** Queues that a filter names or a message had. */
  async names(question: NameQuestion, turn: Turn): Promise<SharedNames> {
    const asked = this.#context.peers?.askAll(NAMES, question)
    const names = await this.#names(question, turn)
    const { answers = [], missing = [] } = (await asked) ?? {}
    for (const { answer } of answers) for (const name of answer as string[]) names.add(name)
    return { names, missing }
  }

  /** Counts queues, and adds up. */
  async count(question: TallyQuestion, turn: Turn): Promise<SharedTallies> {
    const asked = this.#context.peers?.askAll(TALLIES, question)
    const own = await this.#count(question, turn)
    const { answers = [], missing = [] } = (await asked) ?? {}
    const tallies = new Map<string, QueueTally>()
    for (const counted of [own, ...answers.map(({ answer }) => answer as readonly QueueTally[])]) {
      for (const tally of counted) {
        const before = tallies.get(tally.queue)
        tallies.set(tally.queue, before ? sum(before, tally, question.maxEvents) : tally)
        if (turn.spend(1 + tally.events.length)) await turn.next()
      }
    }
    return { tallies, missing }
  }

  async #names(question: NameQuestion, turn: Turn): Promise<Set<string>> {
    const names = new Set<string>()
    const most = 'queue' in question ? 1 : this.isShared ? MOST_NAMES : Number.POSITIVE_INFINITY
    for await (const name of queueNames(this.#context.directory)) {
      if (name !== null && isAsked(name, question)) names.add(name)
      if (names.size === most) break
      if (turn.spend(1)) await turn.next()
    }
    return names
  }

  async #count({ queues, ...options }: TallyQuestion, turn: Turn): Promise<QueueTally[]> {
    const tallies = await tallyQueues(this.#context.directory, queues, { ...options, turn })
    return [...tallies.values()]
  }
}

function isAsked(name: string, question: NameQuestion): boolean {
  return 'queue' in question ? name === question.queue : name.startsWith(question.prefix)
}

function sum(a: QueueTally, b: QueueTally, maxEvents: number): QueueTally {
  const events = new Map<string, EventTally>()
  for (const event of [...a.events, ...b.events]) {
    const before = events.get(event.event)
    events.set(event.event, before ? sumOf(before, event) : event)
  }
  const busiest = new Top<EventTally>(
    maxEvents,
    (x, y) => y.accepted - x.accepted || compareText(x.event, y.event)
  )
  for (const event of events.values()) busiest.offer(event)
  return {
    queue: a.queue,
    attached: a.attached + b.attached,
    connected: a.connected + b.connected,
    backlog: a.backlog === null || b.backlog === null ? null : a.backlog + b.backlog,
    accepted: a.accepted + b.accepted,
    recent: a.recent + b.recent,
    lastAcceptedAt: Math.max(a.lastAcceptedAt ?? 0, b.lastAcceptedAt ?? 0) || null,
    // an event that both have is one; of more than are told, nobody knows how many are the same
    eventCount: Math.max(a.eventCount, b.eventCount, events.size),
    events: [...busiest.items()].sort((x, y) => compareText(x.event, y.event))
  }
}

/** The same event on two brokers. */
export function sumOf<Event extends EventTally>(a: Event, b: Event): Event {
  return {
    ...a,
    accepted: a.accepted + b.accepted,
    recent: a.recent + b.recent,
    lastAcceptedAt: Math.max(a.lastAcceptedAt, b.lastAcceptedAt)
  }
}
