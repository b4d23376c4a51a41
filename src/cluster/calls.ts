import type { Clock } from '../clock.ts'
import { errorText, QueueError } from '../errors.ts'
import type { BrokerRow, ClusterStore } from '../store/cluster.ts'

/** So long an answer waits for the other brokers. */
const WAIT_MS = 2_000

/** What is asked and answered is what JSON can say. */
export type Answering = (params: unknown) => Promise<unknown>

/** The brokers that share a store with this one. */
export interface Peers {
  /** The name of this broker. */
  readonly self: string
  /** How often others were asked, by what came of it. */
  readonly counts: Readonly<CallCounts>
  /** All brokers, this one included. */
  brokers(): readonly BrokerRow[]
  /** Has `answering` answer what others ask by this method; one method has one. */
  answer(method: string, answering: Answering): void
  /**
   * Asks one broker.
   * @throws QueueError as it threw it; QUEUE_BROKER_AWAY when it does not answer in time.
   */
  ask(brokerName: string, method: string, params: unknown): Promise<unknown>
  /**
   * Asks all others that are not known to have ended, and waits for two seconds at most. Never rejects: a broker that
   * has not answered, or with an error, is told as missing.
   */
  askAll(method: string, params: unknown): Promise<PeerAnswers>
}

/** What all others have answered. */
export interface PeerAnswers {
  readonly answers: readonly { readonly broker: string; readonly answer: unknown }[]
  /** Brokers of which there is no answer. */
  readonly missing: readonly string[]
}

/** Calls to other brokers since the start. */
export interface CallCounts {
  answered: number
  /** The other broker has answered with an error. */
  failed: number
  /** It has not answered in time. */
  missed: number
}

/** What calls are made of. */
export interface CallsOptions {
  readonly cluster: Pick<ClusterStore, 'brokerName' | 'brokers' | 'call'>
  readonly clock: Clock
}

/** Asks other brokers, and answers them. */
export class Calls implements Peers {
  readonly counts: CallCounts = { answered: 0, failed: 0, missed: 0 }
  readonly #options: CallsOptions
  readonly #methods = new Map<string, Answering>()

  constructor(options: CallsOptions) {
    this.#options = options
  }

  get self(): string {
    return this.#options.cluster.brokerName
  }

  brokers(): readonly BrokerRow[] {
    return this.#options.cluster.brokers()
  }

  answer(method: string, answering: Answering): void {
    this.#methods.set(method, answering)
  }

  /** What another broker asks. @throws QueueError QUEUE_REQUEST_INVALID for an unknown method, and what answering throws */
  async handle(method: string, params: unknown): Promise<unknown> {
    const answering = this.#methods.get(method)
    if (answering) return await answering(params)
    const problem = `broker ${this.self} does not know ${method}: it may be of another version, or about to start`
    throw new QueueError('QUEUE_REQUEST_INVALID', { detail: { problem } })
  }

  async ask(brokerName: string, method: string, params: unknown): Promise<unknown> {
    try {
      const answer = await this.#options.cluster.call(brokerName, method, params)
      this.counts.answered++
      return answer
    } catch (error) {
      this.counts[isAway(error) ? 'missed' : 'failed']++
      throw error
    }
  }

  async askAll(method: string, params: unknown): Promise<PeerAnswers> {
    const others = this.others()
    const found = await Promise.all(
      others.map(broker =>
        within(this.#options.clock, this.ask(broker, method, params)).then(
          answer => ({ broker, answer }),
          () => null
        )
      )
    )
    const answers = found.filter(one => one !== null)
    return { answers, missing: others.filter((_, i) => found[i] === null) }
  }

  /** Names of the other brokers that live, as far as it is known. */
  others(): string[] {
    return this.brokers()
      .filter(({ isSelf, state }) => !isSelf && (state === 'live' || state === 'silent'))
      .map(({ name }) => name)
  }
}

/** Whether a broker has not answered at all. */
export function isAway(error: unknown): boolean {
  return error instanceof QueueError && error.code === 'QUEUE_BROKER_AWAY'
}

/** QUEUE_BROKER_AWAY for brokers that may have what was asked for, and do not answer. */
export function brokersAway(names: readonly string[], cause?: unknown): QueueError {
  const problem = cause === undefined ? 'what was asked for may be there' : errorText(cause)
  return new QueueError('QUEUE_BROKER_AWAY', { cause, detail: { name: names.join(', '), problem } })
}

/** Rejects when that takes too long; what comes later is not looked at. */
function within<Answer>(clock: Clock, answer: Promise<Answer>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(WAIT_MS, () => reject(new Error('no answer in time')))
    answer.then(resolve, reject).finally(() => timer.cancel())
  })
}
