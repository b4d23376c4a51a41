import fc from 'fast-check'

const CLIENTS = 3
const FILTERS = ['a', 'b', '#', '+', 'a/#'] as const
const TOPICS = ['a', 'b', 'a/b', 'c'] as const

/** Publishes of one client, one behind the other. */
export interface PublishStep {
  readonly do: 'publish'
  readonly client: number
  readonly topic: string
  readonly qos: 0 | 1 | 2
  readonly isRetained: boolean
  /** A retained one with an empty payload. */
  readonly isClear: boolean
  /** PUBREL is kept back. */
  readonly isStalling: boolean
  readonly count: number
}

/** Answers of one client, not in the order in which the messages came. */
export interface AnswerStep {
  readonly do: 'answer'
  readonly client: number
  readonly pick: number
  readonly count: number
  readonly isRefusing: boolean
}

/** A kill, or a power cut, and the next start. */
export interface CrashStep {
  readonly do: 'crash'
  readonly isPowerCut: boolean
  readonly keptNotes: number
  readonly keptWrites: number
  readonly arrived: number
  /** A checkpoint is made just before. */
  readonly isSettled: boolean
}

/** What happens in a storm, all of it at once. */
export type Act =
  | PublishStep
  | AnswerStep
  | { readonly do: 'goOn'; readonly client: number }
  | { readonly do: 'settle' }
  | { readonly do: 'fault'; readonly fault: 'cut' | 'commit' }

/** Another connection takes a session over; then all is well, or the server is killed so many turns later. */
export interface TakeoverStep {
  readonly do: 'takeover'
  readonly client: number
  readonly turns: number
  readonly crash: CrashStep | null
}

/** How a storm ends. */
export type Ending =
  | CrashStep
  | { readonly do: 'none'; readonly client: number }
  | TakeoverStep
  | { readonly do: 'cut'; readonly client: number; readonly isNoticed: boolean }

/** Several things at once, for some turns of the event loop, and then an end. */
export interface StormStep {
  readonly do: 'storm'
  readonly acts: readonly Act[]
  readonly turns: number
  /** How much longer a note takes than usual. */
  readonly slowNoteTurns: number
  /** What comes for the clients before the end is lost. */
  readonly isDeaf: boolean
  readonly end: Ending
}

/** What happens next; the next one begins when all is quiet. */
export type Step =
  | PublishStep
  | AnswerStep
  | CrashStep
  | { readonly do: 'goOn' | 'connect' | 'disconnect' | 'cleanStart'; readonly client: number }
  | { readonly do: 'cut'; readonly client: number; readonly isNoticed: boolean }
  | { readonly do: 'unsubscribe'; readonly client: number; readonly filter: string }
  | {
      readonly do: 'subscribe'
      readonly client: number
      readonly filter: string
      readonly qos: 0 | 1 | 2
      readonly identifier: number
      readonly isNoLocal: boolean
      readonly keepsRetain: boolean
      readonly retainHandling: 0 | 1 | 2
    }
  | { readonly do: 'settle' | 'probe' }
  | StormStep

const is = <const Name extends string>(...names: readonly Name[]) => fc.constantFrom(...names)
const client = fc.nat(CLIENTS - 1)
const qos = fc.constantFrom(2 as const, 1 as const, 2 as const, 0 as const)
const seldom = fc.nat(9).map(draw => draw === 9)
const often = fc.nat(2).map(draw => draw > 0)

const publish: fc.Arbitrary<PublishStep> = fc.record({
  ...{ do: is('publish'), client, topic: is(...TOPICS), qos, isClear: seldom, isStalling: seldom },
  isRetained: fc.nat(3).map(draw => draw === 3),
  count: fc.integer({ min: 1, max: 6 })
})

const answer: fc.Arbitrary<AnswerStep> = fc.record({
  ...{ do: is('answer'), client, pick: fc.nat(4), isRefusing: fc.nat(30).map(draw => draw === 30) },
  count: fc.integer({ min: 1, max: 6 })
})

const crash: fc.Arbitrary<CrashStep> = fc.record({
  do: is('crash'),
  isPowerCut: fc.boolean(),
  keptNotes: fc.nat(12),
  keptWrites: fc.nat(6),
  arrived: fc.nat(4),
  isSettled: fc.nat(3).map(draw => draw === 3)
})

const settle = fc.record({ do: is('settle') })
const goOn = fc.record({ do: is('goOn'), client })
const cut = fc.record({ do: is('cut'), client, isNoticed: often })

const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 6, arbitrary: publish },
  { weight: 6, arbitrary: answer },
  { weight: 2, arbitrary: settle },
  { weight: 1, arbitrary: goOn },
  { weight: 1, arbitrary: fc.record({ do: is('fault'), fault: is('cut', 'commit') }) }
)

const ending: fc.Arbitrary<Ending> = fc.oneof(
  { weight: 1, arbitrary: fc.record({ do: is('none'), client }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: is('takeover'), client, turns: fc.nat(4), crash: fc.option(crash) })
  },
  { weight: 1, arbitrary: cut },
  { weight: 3, arbitrary: crash }
)

const subscribe = fc.record({
  ...{ do: is('subscribe'), client, filter: is(...FILTERS), qos },
  identifier: fc.nat(3),
  isNoLocal: seldom,
  keepsRetain: seldom,
  retainHandling: fc.constantFrom(0 as const, 1 as const, 2 as const)
})

/** Any step. */
export const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: publish },
  { weight: 8, arbitrary: answer },
  { weight: 4, arbitrary: subscribe },
  { weight: 1, arbitrary: fc.record({ do: is('unsubscribe'), client, filter: is(...FILTERS) }) },
  { weight: 3, arbitrary: fc.record({ do: is('connect', 'connect', 'disconnect'), client }) },
  { weight: 1, arbitrary: fc.record({ do: is('cleanStart'), client }) },
  { weight: 2, arbitrary: cut },
  { weight: 1, arbitrary: goOn },
  { weight: 1, arbitrary: settle },
  { weight: 1, arbitrary: fc.record({ do: is('probe') }) },
  { weight: 1, arbitrary: crash },
  {
    weight: 5,
    arbitrary: fc.record({
      do: is('storm'),
      acts: fc.array(act, { minLength: 1, maxLength: 6 }),
      turns: fc.nat(9),
      slowNoteTurns: fc.nat(25),
      isDeaf: fc.boolean(),
      end: ending
    })
  }
)
