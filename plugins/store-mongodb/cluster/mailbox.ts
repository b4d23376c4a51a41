import { randomUUID } from 'node:crypto'
import {
  ERRORS,
  type ErrorCode,
  errorText,
  isQueueError,
  QueueError,
  systemCode,
  type Timer
} from '../../../src/plugin.ts'
import type { Collection } from '../database.ts'
import { double } from '../database.ts'
import { COLLECTIONS } from '../documents.ts'
import { ownerOfRecord } from './broker-record.ts'
import type { Ground } from './ground.ts'
import type { Others } from './others.ts'

/** A call that was not answered for so long has failed. */
export const CALL_TIMEOUT_MS = 10_000
/** Whoever waits for an answer looks for it at this pace, where no bus tells of it. */
const LOOK_MS = 100
/** Calls nobody took back are removed after this. */
const FORGOTTEN_MS = 10 * CALL_TIMEOUT_MS

/** What one broker asks of another. Params, answer and detail are JSON text, which can say what field names cannot. */
interface CallDocument {
  readonly _id: string
  /** Owner numbers: a broker that was started anew is not asked what its predecessor was. */
  readonly to: number
  readonly from: number
  readonly method: string
  readonly params: string
  /** Milliseconds since 1970, on the caller's clock. */
  readonly at: number
  readonly answer?: string
  readonly error?: { readonly code: string; readonly message: string; readonly detail: string }
  readonly isAnswered?: boolean
}

/** What a mailbox works with. */
export interface MailboxOptions {
  readonly ground: Ground
  readonly others: Others
  /** Does what another broker asks. @param from owner number of who asks */
  readonly answer: (method: string, params: unknown, from: number) => Promise<unknown>
  /** Tells others that there is something for them; may be lost. */
  readonly hint: () => void
}

interface Waiting {
  readonly to: number
  readonly name: string
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: Error) => void
}

/** Calls between brokers, through the database: each puts its calls down there, and looks for those to it. */
export class Mailbox {
  readonly #options: MailboxOptions
  readonly #calls: Collection<CallDocument>
  readonly #waiting = new Map<string, Waiting>()
  /** Being answered, or answered and not yet seen to be. */
  readonly #taken = new Set<string>()
  #looking: Timer | null = null

  constructor(options: MailboxOptions) {
    this.#options = options
    this.#calls = options.ground.database.collection<CallDocument>(COLLECTIONS.calls)
  }

  /** @throws QueueError as the other broker threw it; QUEUE_BROKER_AWAY */
  async call(name: string, method: string, params: unknown): Promise<unknown> {
    const { ground, others, hint } = this.#options
    const record = others.get(name)
    if (record?.state !== 'live')
      throw away(name, record ? `it is ${record.state}` : 'there is no such broker')
    const to = ownerOfRecord(record)
    const _id = randomUUID()
    const call = {
      _id,
      to: double(to),
      from: double(ground.self),
      method,
      params: JSON.stringify(params ?? null)
    }
    const answered = new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(_id, { to, name, resolve, reject })
    })
    const timer = ground.clock.after(CALL_TIMEOUT_MS, () =>
      this.#fail(_id, `no answer within ${CALL_TIMEOUT_MS} ms`)
    )
    try {
      const put = this.#calls.insertOne({ ...call, at: double(ground.clock.now()) })
      put.then(hint, error => this.#fail(_id, errorText(error)))
      this.#look()
      return await answered
    } finally {
      timer.cancel()
      this.#waiting.delete(_id)
      this.#calls.deleteOne({ _id }).catch(() => {}) // if it stays, it is removed as a forgotten one
    }
  }

  /** Looks for calls to this broker and for answers to its own. @throws the error of the driver */
  async round(): Promise<void> {
    const { ground, others } = this.#options
    for (const [id, { to, name }] of this.#waiting) {
      if (!others.living(to)) this.#fail(id, others.get(name) ? 'it has stopped' : 'it is gone')
    }
    const calls = await this.#calls.find({ to: ground.self }).toArray()
    const there = new Set(calls.map(({ _id }) => _id))
    for (const id of this.#taken) if (!there.has(id)) this.#taken.delete(id)
    for (const call of calls) {
      if (call.isAnswered || this.#taken.has(call._id)) continue
      this.#taken.add(call._id)
      void this.#answer(call)
    }
    await this.#collect()
  }

  /** Removes calls whose caller is gone. Their times are compared with this machine's clock, so they are kept long. */
  async clear(): Promise<void> {
    await this.#calls.deleteMany({ at: { $lt: double(this.#options.ground.clock.now() - FORGOTTEN_MS) } })
  }

  /** Every call that waits fails. */
  stop(problem: string): void {
    this.#looking?.cancel()
    for (const id of [...this.#waiting.keys()]) this.#fail(id, problem)
  }

  /** While something is waited for, answers are looked for more often than rounds come. */
  #look(): void {
    const { clock } = this.#options.ground
    this.#looking ??= clock.after(LOOK_MS, () => {
      this.#looking = null
      if (this.#waiting.size === 0) return
      this.#collect()
        .catch(() => {}) // the rounds tell when the database is away
        .finally(() => this.#look())
    })
  }

  async #collect(): Promise<void> {
    if (this.#waiting.size === 0) return
    const ids = [...this.#waiting.keys()]
    for (const { _id, answer, error } of await this.#calls
      .find({ _id: { $in: ids }, isAnswered: true })
      .toArray()) {
      const waiting = this.#waiting.get(_id)
      this.#waiting.delete(_id)
      if (error) waiting?.reject(errorOf(waiting.name, error))
      else waiting?.resolve(answer === undefined ? undefined : JSON.parse(answer))
    }
  }

  async #answer({ _id, method, params, from }: CallDocument): Promise<void> {
    const { ground, answer, hint } = this.#options
    let result: Pick<CallDocument, 'answer' | 'error'>
    try {
      const given = await answer(method, JSON.parse(params), from)
      result = given === undefined ? {} : { answer: JSON.stringify(given) }
    } catch (error) {
      result = { error: said(error) }
    }
    try {
      const put = () => this.#calls.updateOne({ _id }, { $set: { ...result, isAnswered: true } })
      await ground.patience.until(put, { timeoutMs: CALL_TIMEOUT_MS, isRead: true })
      hint()
    } catch (error) {
      ground.log.warn(
        { err: error, method },
        `an answer to another broker could not be given: ${errorText(error)}`
      )
    }
  }

  #fail(id: string, problem: string): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    waiting?.reject(away(waiting.name, problem))
  }
}

/** QUEUE_BROKER_AWAY */
export function away(name: string, problem: string): QueueError {
  return new QueueError('QUEUE_BROKER_AWAY', { detail: { name, problem } })
}

function said(error: unknown): NonNullable<CallDocument['error']> {
  const detail = isQueueError(error) ? JSON.stringify(error.detail) : '{}'
  return {
    code: isQueueError(error) ? error.code : (systemCode(error) ?? ''),
    message: errorText(error),
    detail
  }
}

function errorOf(name: string, { code, message, detail }: NonNullable<CallDocument['error']>): QueueError {
  if (!Object.hasOwn(ERRORS, code)) return away(name, message)
  return new QueueError(code as ErrorCode, { detail: JSON.parse(detail) })
}
