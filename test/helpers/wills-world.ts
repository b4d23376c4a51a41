import type { ExecutionContext } from 'ava'
import type { QoS } from 'mqtt-packet'
import type { Clock } from '../../src/clock.ts'
import { HandClock } from './conformance-clock.ts'
import { turns } from './conformance-core.ts'
import { startCore, type TestCore } from './core.ts'
import { ExactClient, type ExactListener, type ExactPublish } from './exact-client.ts'
import { ModelStore } from './model-store.ts'
import type { RawClient, RawConnect } from './raw-client.ts'

const GRACE_SECONDS = 3

/** What a client brings. */
export interface WillSpec {
  readonly qos: QoS
  readonly delaySeconds: number
  readonly isRetained: boolean
}

/** How a server ends. */
export interface WillCrash {
  readonly isPowerCut: boolean
  readonly keptWrites: number
  readonly arrived: number
}

/** A will and how often it is to come. */
interface ModelWill extends WillSpec {
  readonly payload: string
  least: number
  most: number
  /** When it is sent, in seconds: not before the first, surely by the second. Null: its client is connected. */
  due: readonly [from: number, to: number] | null
  /** Nothing more happens to it. */
  isOver: boolean
}

interface Mortal {
  raw: RawClient | null
  wills: ModelWill[]
}

/** Clients with wills, a watcher that counts them, and a server that is killed. Time passes by hand. */
export class WillsWorld {
  readonly #t: ExecutionContext
  readonly #clock = new HandClock()
  readonly #mortals: Mortal[] = Array.from({ length: 2 }, () => ({ raw: null, wills: [] }))
  readonly #counts = new Map<string, number>()
  readonly #problems: string[] = []
  readonly #watcher: ExactClient<ExactPublish>
  #core!: TestCore<ModelStore>
  #life = { isOver: false }
  #seconds = 0
  #made = 0

  constructor(t: ExecutionContext) {
    this.#t = t
    const nothing = () => {}
    const listener: ExactListener<ExactPublish> = {
      ...{ accepted: nothing, refused: nothing, repeated: nothing, done: nothing },
      arrived: ({ payload, qos, dup }, isNew) => {
        const text = payload.toString()
        const before = this.#counts.get(text) ?? 0
        if (isNew && !(qos === 1 && dup && before > 0)) this.#counts.set(text, before + 1)
      },
      broken: text => this.#problems.push(text)
    }
    this.#watcher = new ExactClient({ name: 'watcher', isV5: true, window: 100 }, listener)
  }

  /** Starts the first server. */
  async start(): Promise<void> {
    await this.#start(new ModelStore())
    await this.#watcher.raw!.subscribe('will', 2)
  }

  /** A client connects, in place of its older connection or of none. */
  async connect(index: number, spec: WillSpec, isClean: boolean): Promise<void> {
    const mortal = this.#mortals[index]!
    const will = this.#will(spec)
    const client = this.#core.open()
    await client.login(loginOf(index, will, isClean))
    if (mortal.raw) this.#lost(mortal, isClean)
    this.#back(mortal, isClean)
    mortal.raw = client
    mortal.wills.push(will)
    await this.#quiet()
  }

  /** A client goes: with DISCONNECT 0x00 or 0x04, or without a word. */
  async leave(index: number, how: Leaving): Promise<void> {
    const mortal = this.#mortals[index]!
    if (!mortal.raw) return
    this.#go(mortal.raw, how)
    if (how === 'goodbye') this.#over(mortal.wills.filter(({ due, isOver }) => due === null && !isOver))
    else this.#lost(mortal, false)
    mortal.raw = null
    await this.#quiet()
  }

  async pass(seconds: number): Promise<void> {
    this.#seconds += seconds
    await this.#clock.pass(seconds)
    for (const will of this.#mortals.flatMap(({ wills }) => wills)) {
      if (will.due && will.due[1] <= this.#seconds) this.#sent(will)
    }
    await this.#quiet()
  }

  async settle(): Promise<void> {
    await this.#core.core.settle()
  }

  /** The server is killed, and another one starts. */
  async crash(crash: WillCrash): Promise<void> {
    for (const mortal of this.#mortals) {
      mortal.raw = null
      for (const will of mortal.wills) this.#outlive(will, crash.isPowerCut)
    }
    const lastStop = crash.isPowerCut ? 'machine' : 'process'
    this.#life.isOver = true
    await this.#start(this.#core.store.crash(lastStop, Number.POSITIVE_INFINITY, crash))
  }

  /** A client comes or goes, and so many turns later the server is killed. */
  async crashDuring(index: number, what: Leaving | WillSpec, after: number, crash: WillCrash): Promise<void> {
    const mortal = this.#mortals[index]!
    if (typeof what === 'string') {
      if (!mortal.raw) return
      this.#go(mortal.raw, what)
      await turns(after)
      const [present] = mortal.wills.filter(({ due, isOver }) => due === null && !isOver)
      if (present && (what === 'goodbye' || present.qos === 0)) present.least = 0
      if (present && what !== 'goodbye') {
        const delaySeconds = Math.max(present.delaySeconds, GRACE_SECONDS)
        present.due = [this.#seconds + present.delaySeconds, this.#seconds + delaySeconds]
      }
    } else {
      const will = this.#will(what)
      const client = this.#core.open()
      client.login(loginOf(index, will, false)).catch(() => {})
      await turns(after)
      if (client.connack) {
        if (mortal.raw) this.#lost(mortal, false)
        this.#back(mortal, false)
      } else for (const one of [will, ...mortal.wills]) if (!one.isOver) one.least = 0
      mortal.wills.push(will)
    }
    await this.crash(crash)
  }

  /** Nobody comes back: every will that waits is sent. @returns what is wrong. */
  async finish(): Promise<string[]> {
    for (const mortal of this.#mortals) {
      if (!mortal.raw) continue
      this.#go(mortal.raw, 'cut')
      this.#lost(mortal, false)
    }
    await this.#quiet()
    await this.pass(1_000)
    for (const { payload, least, most, qos, delaySeconds } of this.#mortals.flatMap(({ wills }) => wills)) {
      const count = this.#counts.get(payload) ?? 0
      if (count < least || count > most) {
        const what = `${payload} (QoS ${qos}, delay ${delaySeconds})`
        this.#problems.push(`${what} came ${count} times, not ${least} to ${most}`)
      }
    }
    return this.#problems
  }

  async #start(store: ModelStore): Promise<void> {
    const life = { isOver: false }
    this.#life = life
    const clock: Clock = {
      now: () => this.#clock.now(),
      after: (delayMs, callback) => this.#clock.after(delayMs, () => life.isOver || callback()),
      every: (periodMs, callback) => this.#clock.every(periodMs, () => life.isOver || callback())
    }
    const settings = { willGraceSeconds: GRACE_SECONDS, checkpointMs: 86_400_000 }
    this.#core = await startCore(this.#t, { store, clock, settings })
    await this.#watcher.connect(this.#core.open(), false)
    await this.#quiet()
  }

  #will(spec: WillSpec): ModelWill {
    return { ...spec, payload: `${++this.#made}`, least: 1, most: 1, due: null, isOver: false }
  }

  #go(raw: RawClient, how: Leaving): void {
    if (how === 'cut') raw.destroy()
    else raw.send({ cmd: 'disconnect', reasonCode: how === 'goodbye' ? 0 : 4 })
  }

  /** The connection of a client is over without a goodbye. */
  #lost({ wills }: Mortal, endsSession: boolean): void {
    for (const will of wills) {
      if (will.isOver || will.due) continue
      const at = this.#seconds + (endsSession ? 0 : will.delaySeconds)
      will.due = [at, at]
      if (at === this.#seconds) this.#sent(will)
    }
  }

  /** A client is back: what waits is dropped, or sent because its session ends. */
  #back({ wills }: Mortal, endsSession: boolean): void {
    const waiting = wills.filter(({ isOver, due }) => !isOver && due)
    if (endsSession) for (const will of waiting) this.#sent(will)
    else this.#over(waiting)
  }

  #over(wills: readonly ModelWill[]): void {
    for (const will of wills) {
      will.isOver = true
      will.least = 0
      // one that may have been sent already
      if (!will.due || will.due[0] > this.#seconds) will.most = 0
    }
  }

  #sent(will: ModelWill): void {
    will.isOver = true
  }

  #outlive(will: ModelWill, isPowerCut: boolean): void {
    if (will.isOver) {
      // what goes out with QoS 0 may be lost on its way
      if (will.qos === 0 && !this.#counts.has(will.payload)) will.least = 0
      // a row that was taken out without a sync may be back
      if (isPowerCut && will.most === 0) {
        will.most = 1
        will.isOver = false
        will.due = [this.#seconds, Number.POSITIVE_INFINITY]
      }
      return
    }
    const later = this.#seconds + Math.max(will.delaySeconds, GRACE_SECONDS)
    if (!will.due) will.due = [later, later]
    else if (isPowerCut) will.due = [will.due[0], Math.max(will.due[1], later)]
  }

  async #quiet(): Promise<void> {
    for (let quiet = 0; quiet < 2; ) {
      await this.#watcher.raw!.ping()
      const count = this.#watcher.collect()
      this.#watcher.answer(0, this.#watcher.answers)
      quiet = count === 0 ? quiet + 1 : 0
    }
    await turns(3)
  }
}

/** How a client goes. */
export type Leaving = 'goodbye' | 'withWill' | 'cut'

function loginOf(index: number, will: ModelWill, clean: boolean): RawConnect {
  const { payload, qos, delaySeconds, isRetained } = will
  return {
    clientId: `mortal-${index}`,
    protocolVersion: 5,
    expirySeconds: 1_000_000,
    clean,
    will: {
      ...{ topic: 'will', payload: Buffer.from(payload), qos, retain: isRetained },
      properties: { willDelayInterval: delaySeconds }
    }
  }
}
