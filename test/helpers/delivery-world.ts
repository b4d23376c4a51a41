import assert from 'node:assert/strict'
import { duplexPair } from 'node:stream'
import type { ExecutionContext } from 'ava'
import { type Clock, systemClock } from '../../src/clock.ts'
import { defaultSettings } from '../../src/config/settings.ts'
import { Core } from '../../src/core.ts'
import { QueueError } from '../../src/errors.ts'
import { RecordingLog } from './core.ts'
import { type ModelMessage, ModelSession, type ModelSubscription } from './delivery-model.ts'
import type { Act, CrashStep, PublishStep, Step, StormStep } from './delivery-steps.ts'
import { ExactClient, type ExactListener } from './exact-client.ts'
import { ModelStore } from './model-store.ts'
import { RawClient } from './raw-client.ts'
import { RetainedModel } from './retained-model.ts'

export const CLIENTS = 3
const WINDOW = 4
/** An answer that takes longer does not come. */
const ANSWER_MS = 4_000
const REPAIR_MS = 10

/** What a moment takes in these tests: what the server tries again, it tries soon. */
const hastyClock: Clock = {
  ...systemClock,
  after: (delayMs, callback) => systemClock.after(delayMs / 25, callback)
}

interface Player {
  readonly client: ExactClient<ModelMessage>
  model: ModelSession
  /** Whether the server has a session of it. */
  isKnown: boolean
  /** Cuts the connection on the server's side. */
  hangUp(): void
  published: number
}

/** A server, clients that publish and subscribe, and the model of what each of them must get. */
export class DeliveryWorld {
  readonly #t: ExecutionContext
  readonly #players: Player[]
  readonly #retained = new RetainedModel()
  readonly #messages: ModelMessage[] = []
  readonly #problems: string[] = []
  #core!: Core
  #store!: ModelStore
  readonly #log = new RecordingLog()
  #time = 0
  /** The store has refused messages: clients of 3.1.1, and what came with QoS 0, are disconnected for it. */
  #hasRefused = false

  constructor(t: ExecutionContext) {
    this.#t = t
    this.#players = Array.from({ length: CLIENTS }, (_, index) => this.#player(index))
  }

  async start(store = new ModelStore()): Promise<void> {
    this.#store = store
    const settings = defaultSettings({ checkpointMs: 3_600_000, maxInflight: WINDOW })
    const core = await Core.open({ store, settings, clock: hastyClock, log: this.#log })
    this.#core = core
    this.#t.teardown(() => core.close().catch(() => {}))
  }

  async run(step: Step): Promise<void> {
    if ('client' in step) await this.#calm(step)
    else if (step.do === 'storm') await this.#storm(step)
    else if (step.do === 'crash') await this.#crash(step)
    else if (step.do === 'settle') await this.#settle()
    else await this.#probe()
    assert.deepEqual(this.#problems, [])
  }

  /** Everything owed comes when every client is back and goes through all steps; then nothing is kept. */
  async finish(): Promise<void> {
    for (const player of this.#players) if (!player.client.raw) await this.#connect(player, false)
    for (const { client } of this.#players) client.goOn()
    for (let quiet = 0; quiet < 2; ) {
      const before = this.#players.filter(({ client }) => client.answers > 0).length
      for (const { client } of this.#players) client.answer(0, client.answers)
      quiet = (await this.#quiet()) === 0 && before === 0 ? quiet + 1 : 0
    }
    for (const { client, model } of this.#players) {
      if (!client.isDone) this.#problems.push(`${client.name} has exchanges that do not end`)
      model.finish()
    }
    await this.#probe()
    assert.deepEqual(this.#problems, [])
    for (let i = 0; i < 2; i++) await this.#core.settle()
    assert.equal(this.#store.size, 0, 'what nobody waits for was not freed')
  }

  async #calm(step: Extract<Step, { client: number }>): Promise<void> {
    const player = this.#players[step.client]!
    if (step.do === 'cleanStart') await this.#cleanStart(player)
    else if (step.do === 'publish') {
      if (!player.client.raw) await this.#connect(player, false)
      this.#publish(player, step, true)
    } else if (step.do === 'connect') await this.#connect(player, false)
    else if (player.client.raw) await this.#whileConnected(player, step)
    await this.#quiet()
    this.#checkQos0()
  }

  async #whileConnected(player: Player, step: Extract<Step, { client: number }>): Promise<void> {
    const { client, model } = player
    const raw = client.raw!
    if (step.do === 'answer') client.answer(step.pick, step.count, step.isRefusing)
    else if (step.do === 'goOn') client.goOn()
    else if (step.do === 'disconnect') {
      await raw.disconnect()
      this.#left(player, false)
    } else if (step.do === 'cut') await this.#cut(player, step.isNoticed)
    else if (step.do === 'unsubscribe') {
      await raw.unsubscribe(step.filter)
      await this.#quiet()
      model.unsubscribed(step.filter)
    } else if (step.do === 'subscribe') await this.#subscribe(player, step)
  }

  async #storm({ acts, turns, slowNoteTurns, isDeaf, end }: StormStep): Promise<void> {
    this.#store.slowNoteTurns = slowNoteTurns
    for (const act of acts) this.#act(act)
    for (let i = 0; i < turns; i++) await turn()
    if (!isDeaf) for (const { client } of this.#players) client.collect()
    if (end.do === 'crash') return await this.#crash(end)
    const player = this.#players[end.client]!
    if (end.do === 'takeover' && player.client.raw) {
      await this.#open(player, false)
      for (let i = 0; i < end.turns; i++) await turn()
      if (!isDeaf) for (const { client } of this.#players) client.collect()
      if (end.crash) return await this.#crash(end.crash)
    }
    if (end.do === 'cut' && player.client.raw) await this.#cut(player, end.isNoticed)
    delete this.#store.faults.cut
    delete this.#store.faults.commit
    this.#store.slowNoteTurns = 0
    await this.#quiet()
    this.#hasRefused = false
  }

  #act(act: Act): void {
    if (act.do === 'settle') void this.#core.settle()
    else if (act.do === 'fault') {
      const error = new QueueError('QUEUE_STORE_FULL', { detail: { problem: `test: ${act.fault}` } })
      this.#store.faults[act.fault] = error
      this.#hasRefused ||= act.fault === 'commit'
    } else {
      const player = this.#players[act.client]!
      if (!player.client.raw) return
      if (act.do === 'publish') this.#publish(player, act, false)
      else if (act.do === 'answer') player.client.answer(act.pick, act.count, act.isRefusing)
      else if (act.do === 'goOn') player.client.goOn()
    }
  }

  #publish(player: Player, step: PublishStep, isCalm: boolean): void {
    const { topic, qos, isRetained, isClear, isStalling, count } = step
    player.client.isStalling = isStalling
    for (let i = 0; i < count; i++) {
      const message: ModelMessage = {
        ...{ topic, qos, isRetained, isCalm, publisher: player.client.name, place: player.published++ },
        payload: isRetained && isClear ? '' : `${this.#messages.length}`,
        ...{ sentAt: ++this.#time, acceptedAt: Number.POSITIVE_INFINITY, sends: 1, isRefused: false }
      }
      this.#messages.push(message)
      for (const { model } of this.#players) model.sent(message)
      if (isRetained) this.#retained.sent(message)
      player.client.publish(message)
    }
  }

  async #subscribe({ client, model }: Player, subscription: ModelSubscription): Promise<void> {
    const { filter, qos, identifier, isNoLocal, keepsRetain, retainHandling } = subscription
    const raw = client.raw!
    const messageId = raw.nextId()
    const options = client.isV5 ? { nl: isNoLocal, rap: keepsRetain, rh: retainHandling } : {}
    raw.send({
      ...{ cmd: 'subscribe', messageId, subscriptions: [{ topic: filter, qos, ...options }] },
      ...(client.isV5 && identifier > 0 ? { properties: { subscriptionIdentifier: identifier } } : {})
    })
    const suback = await raw.next('suback', ack => ack.messageId === messageId)
    assert.deepEqual(suback.granted, [qos])
    const plain = { identifier: 0, isNoLocal: false, keepsRetain: false, retainHandling: 0 } as const
    const granted = client.isV5 ? subscription : { filter, qos, ...plain }
    model.subscribed(granted, this.#retained.table(), this.#unresolved())
  }

  async #connect(player: Player, isClean: boolean): Promise<void> {
    await this.#open(player, isClean)
    await this.#quiet()
  }

  async #open(player: Player, isClean: boolean): Promise<void> {
    const { client } = player
    const old = client.raw
    const [ours, theirs] = duplexPair()
    this.#core.front.handle(theirs)
    this.#t.teardown(() => ours.destroy())
    if (old) player.model.left(true)
    const isPresent = await client.connect(RawClient.open(ours), isClean)
    assert.equal(isPresent, player.isKnown && !isClean, `${client.name}: Session Present`)
    if (old) await old.closed()
    player.hangUp = () => theirs.destroy()
    player.isKnown = client.isV5 || !isClean
    player.model.isOnline = true
    player.model.isCut = false
  }

  async #cleanStart(player: Player): Promise<void> {
    const lost = player.client.unresolved
    await this.#connect(player, true)
    await player.client.raw!.disconnect()
    player.client.left()
    for (const message of lost) {
      for (const { model } of this.#players) model.refused(message, false)
    }
    player.model = new ModelSession(player.client.name, text => this.#problems.push(text))
    await this.#connect(player, false)
  }

  async #cut(player: Player, isNoticed: boolean): Promise<void> {
    player.client.raw!.destroy()
    if (isNoticed) player.hangUp()
    this.#left(player, true)
    player.model.isCut = !isNoticed
    await turn()
  }

  #left({ client, model }: Player, mayMiss: boolean): void {
    client.left()
    model.left(mayMiss)
  }

  async #crash({ isPowerCut, keptNotes, keptWrites, arrived, isSettled }: CrashStep): Promise<void> {
    if (isSettled) await this.#core.settle()
    const isCut = isPowerCut || this.#store.hasMissingNotes
    const lastStop = isPowerCut ? 'machine' : 'process'
    const left = this.#store.crash(lastStop, keptNotes, { keptWrites, arrived })
    for (const player of this.#players) {
      player.client.raw?.destroy()
      player.client.left()
      player.model.crashed(isCut)
      if (isCut) player.client.outlivedPowerCut()
    }
    await this.start(left)
    await this.#probe()
  }

  async #settle(): Promise<void> {
    await this.#core.settle()
    for (const { model } of this.#players) model.settled()
  }

  /** What a new subscriber finds retained. */
  async #probe(): Promise<void> {
    const [ours, theirs] = duplexPair()
    this.#core.front.handle(theirs)
    const probe = RawClient.open(ours)
    await probe.login({ clientId: 'probe' })
    await this.#quiet()
    await probe.subscribe('#', 2)
    for (let i = 0; i < 2; i++) await probe.ping()
    const found = new Map(probe.unreadMessages().map(({ topic, payload }) => [topic, payload.toString()]))
    await probe.disconnect()
    this.#retained.decide(this.#unresolved())
    this.#problems.push(...this.#retained.compare(found))
  }

  /** Lets everything happen that can happen; returns how many packets came. */
  async #quiet(): Promise<number> {
    let sum = 0
    for (let quiet = 0; quiet < 2; ) {
      let count = 0
      for (const player of this.#players) count += await this.#hear(player)
      quiet = count === 0 ? quiet + 1 : 0
      sum += count
    }
    this.#retained.decide(this.#unresolved())
    return sum
  }

  /** A round trip; returns how many packets came. */
  async #hear(player: Player): Promise<number> {
    const { client } = player
    if (!client.raw) return 0
    // QoS 2 waits for a checkpoint when notes are missing; in life there is one every few seconds
    const repair = this.#store.hasMissingNotes ? setInterval(() => void this.#core.settle(), REPAIR_MS) : null
    client.raw.send({ cmd: 'pingreq' })
    const isThere = await client.raw.next('pingresp', undefined, ANSWER_MS).then(
      () => true,
      () => false
    )
    if (repair) clearInterval(repair)
    const count = client.collect()
    if (isThere) return count
    if (!this.#hasRefused)
      throw new Error(`${client.name} was disconnected: ${this.#log.texts('info').at(-1)}`)
    this.#left(player, true)
    return count
  }

  /** QoS 0 is not kept, and nothing was in its way. */
  #checkQos0(): void {
    for (const { model, client } of this.#players) {
      for (const message of this.#messages.slice(-8)) {
        if (message.acceptedAt > this.#time && message.qos > 0) continue
        if (model.isDueNow(message)) this.#problems.push(`${client.name} did not get ${message.payload}`)
      }
    }
  }

  #unresolved(): ModelMessage[] {
    return this.#players.flatMap(({ client }) => client.unresolved)
  }

  #player(index: number): Player {
    const name = `client-${index}`
    const broken = (text: string) => void this.#problems.push(text)
    const player: Player = {
      client: new ExactClient(
        { name, isV5: index !== 1, window: index === 2 ? 2 : WINDOW },
        this.#listener(index)
      ),
      model: new ModelSession(name, broken),
      ...{ isKnown: false, hangUp() {}, published: 0 }
    }
    return player
  }

  #listener(index: number): ExactListener<ModelMessage> {
    const model = () => this.#players[index]!.model
    return {
      arrived: (packet, isNew) => model().arrived(packet, isNew),
      done: (payload, isRefused) => model().done(payload, isRefused),
      broken: text => this.#problems.push(text),
      accepted: message => {
        message.acceptedAt = Math.min(message.acceptedAt, ++this.#time)
      },
      refused: message => {
        for (const player of this.#players) player.model.refused(message, message.sends === 1)
        if (message.sends === 1) this.#retained.refused(message)
      },
      repeated: message => {
        message.sends++
      }
    }
  }
}

function turn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
