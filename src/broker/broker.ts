import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { Aedes } from 'aedes'
import memory from 'aedes-persistence'
import { errorText, QueueError } from '../errors.ts'
import { Events } from '../events.ts'
import type { Logger } from '../log.ts'
import type { Message } from '../wire/message.ts'
import {
  type AedesClient,
  type HookSubscription,
  type InsidePacket,
  membersOf,
  type Persistence
} from './aedes-types.ts'
import { Announcer } from './announcer.ts'
import { type ClientPort, ClientView, viewOf } from './client-view.ts'
import { connectLens } from './connect-lens.ts'
import { guardEvents } from './events.ts'
import { GateKeeper, type PluginGates } from './gates.ts'
import type { Report } from './guard.ts'
import { Hooks } from './hooks.ts'
import { type InProcess, isSystem, keptIn } from './inside.ts'
import { Keeping } from './keeping.ts'
import { type HookPublish, insidePacket, messageOf, Shown } from './packets.ts'
import { isWatched, Showing, type ShowingParts, show } from './showing.ts'
import { Watchers } from './watchers.ts'

export type { AedesClient, HookSubscription } from './aedes-types.ts'
export type { ClientPort, ConnectTerms, HookWill } from './client-view.ts'
export type { PluginGates } from './gates.ts'
export { assertClientTopic, type InProcess, isSystem } from './inside.ts'
export type { RetainedView, SessionsView } from './keeping.ts'
export { type AedesLimits, limitsOf } from './limits.ts'
export { type HookPublish, messageOf, packetOf, Shown } from './packets.ts'
export { sessionsView, subscriptionsOf } from './sessions-view.ts'
export type { Showing } from './showing.ts'
export { SocketView } from './socket-view.ts'

/** What the broker is told at the start. */
export interface BrokerOptions {
  readonly brokerId: string
  readonly connectTimeoutMs: number
  readonly log: Logger
  /** Told of subscriptions; left out: nobody listens. */
  readonly events?: Events | undefined
  /** An Aedes of the application, which listens; left out: one is made. */
  readonly aedes?: Aedes | undefined
}

// its types describe callbacks; what is called here returns promises as well, which is what Aedes uses
const newMemory = memory as unknown as () => Persistence

/** Events that tell that a client is let in. */
const LETTING_IN = ['connackSent', 'clientReady'] as const

/** Those that carry a server already. */
const ADOPTED = new WeakSet<Aedes>()

/**
 * The one place that knows Aedes. It judges CONNECT, authenticates, answers with CONNACK, keeps the registry of
 * clients and closes an older connection of the same id; its hooks, events and methods stay what its users know.
 * Subscriptions and messages never reach it. Each thing relied on has a test in `test/aedes-contract.test.ts`.
 */
export class Broker {
  readonly aedes: Aedes
  /** Tells what Aedes does not see any more. */
  readonly events: Announcer
  readonly #hooks: Hooks
  readonly #watchers: Watchers
  readonly #report: Report
  readonly #handle: Aedes['handle']
  readonly #close: Aedes['close']
  readonly #showingParts: ShowingParts

  private constructor(aedes: Aedes, inside: InProcess, log: Logger, events: Events) {
    this.aedes = aedes
    this.#report = (what, error) => log.error({ err: error }, `${what} failed: ${errorText(error)}`)
    // without a listener it would end the process
    aedes.on(
      'error' as 'closed',
      ((error: unknown) => log.error({ err: error }, `Aedes: ${errorText(error)}`)) as () => void
    )
    // the application is given others in their place
    this.#handle = aedes.handle
    this.#close = aedes.close.bind(aedes)
    const members = membersOf(aedes)
    this.#hooks = new Hooks(aedes, new Aedes(), connectLens, this.#report)
    this.#watchers = new Watchers(members.mq, this.#report)
    this.#showingParts = { aedes, hooks: this.#hooks, watchers: this.#watchers }
    members.persistence = new Keeping(keptIn(inside), members.persistence)
    // CONNECT comes without keep alive, which is ours
    members.keepaliveLimit = 0
    // sessions are ours, and so is their end
    members.scheduleSessionExpiry = () => {}
    // a client named like a property of Object must not be found in an empty table
    for (const table of [members.clients, members.brokers]) Object.setPrototypeOf(table, null)
    guardEvents(aedes, this.#report)
    this.events = new Announcer(aedes, events)
  }

  /**
   * Starts Aedes, or adopts the one of the application, and takes over what is published inside the process.
   * @throws QueueError QUEUE_CONFIG_INVALID: the given Aedes does not listen, or carries a server already.
   */
  static async create(options: BrokerOptions, inside: InProcess): Promise<Broker> {
    const aedes = options.aedes ?? (await newAedes(options))
    assertFit(aedes)
    ADOPTED.add(aedes)
    const { log, events = new Events(log) } = options
    const broker = new Broker(aedes, inside, log, events)
    await broker.#listenInside(inside)
    return broker
  }

  /** The version of Aedes this server stands on. */
  get aedesVersion(): string {
    return membersOf(this.aedes).version
  }

  // ---- connections

  /**
   * Gives a connection to Aedes; the client's id is known once its CONNACK is.
   * @param port what the client object asks the connection for.
   */
  handle(stream: Duplex, request?: IncomingMessage, port?: ClientPort): AedesClient {
    const client = this.#handle(stream, request)
    if (port) new ClientView(client, port, this.#report)
    return client
  }

  /**
   * The session of a client is open: listeners hear of it, and of the CONNACK that was sent.
   * @param connack its packet.
   * @param ready called when they have, at once when there are none; what the client sends is not read before.
   */
  opened(client: AedesClient, connack: Buffer, ready: () => void): void {
    const isHeard = LETTING_IN.some(event => this.aedes.listenerCount(event) > 0)
    viewOf(client)?.open(connack, isHeard ? ready : () => {})
    if (!isHeard) ready()
  }

  /** The connection of a client is over. */
  closed(client: AedesClient): void {
    viewOf(client)?.close()
  }

  // ---- hooks

  /** What plugins decide, in their order, before the hooks of the application. */
  set gates(gates: readonly PluginGates[]) {
    this.#hooks.gates = new GateKeeper(gates, (plugin, error) =>
      this.#report(`a gate of plugin ${plugin}`, error)
    )
  }

  /** Whether publishes must be shown to a hook: the default one only guards `$SYS`, and so do we. */
  get hasPublishHook(): boolean {
    return this.#hooks.isSet('authorizePublish')
  }

  get hasSubscribeHook(): boolean {
    return this.#hooks.isSet('authorizeSubscribe')
  }

  /** Whether each delivery must be shown to a hook. */
  get hasForwardHook(): boolean {
    return this.#hooks.isSet('authorizeForward')
  }

  /**
   * Asks the hook about a publish; it may change the packet.
   * @param client null: a will whose client is gone. @param done called once, perhaps during the call, with the error
   * when it refuses.
   */
  authorizePublish(
    client: AedesClient | null,
    packet: HookPublish,
    done: (error: Error | null) => void
  ): void {
    this.aedes.authorizePublish(client, packet as never, error => done(error ?? null))
  }

  /**
   * Asks the hook about a will that is to be sent.
   * @param client null after a restart.
   * @returns what is to be sent; null when it is refused. Never rejects.
   */
  authorizeWill(message: Message, client: AedesClient | null): Promise<Message | null> {
    if (!this.hasPublishHook) return Promise.resolve(message)
    const shown = new Shown(message)
    return new Promise(resolve => {
      this.authorizePublish(client, shown.packet, error => resolve(error ? null : this.#changed(shown)))
    })
  }

  /**
   * Asks the hook about a message that comes from inside the process.
   * @returns it, perhaps changed. @throws QueueError QUEUE_NOT_AUTHORIZED: the hook refuses it.
   */
  authorizeInside(message: Message): Promise<Message> {
    if (!this.hasPublishHook) return Promise.resolve(message)
    const shown = new Shown(message)
    return new Promise((resolve, reject) => {
      this.authorizePublish(null, shown.packet, cause => {
        const changed = cause ? null : this.#changed(shown)
        if (changed) resolve(changed)
        else reject(refusal(cause))
      })
    })
  }

  /**
   * Asks the hook about a subscription; it may change it.
   * @returns what is granted; null when it is refused. Never rejects: a hook that throws refuses.
   */
  async authorizeSubscription(
    client: AedesClient,
    subscription: HookSubscription
  ): Promise<HookSubscription | null> {
    const answer = await this.askSubscription(client, subscription)
    if (!(answer instanceof Error)) return answer
    this.events.clientError(client, answer)
    return null
  }

  /** The same; what the hook failed with is returned. */
  askSubscription(
    client: AedesClient,
    subscription: HookSubscription
  ): Promise<HookSubscription | null | Error> {
    if (!this.hasSubscribeHook) return Promise.resolve(subscription)
    return new Promise(resolve => {
      this.aedes.authorizeSubscribe(client, subscription as never, (error, granted) => {
        if (error) resolve(error)
        else resolve(granted && typeof granted === 'object' ? (granted as HookSubscription) : null)
      })
    })
  }

  /**
   * Asks the hook `authorizeForward` about a delivery.
   * @returns the message to deliver in its place, which may have another topic, payload, properties or QoS; null when
   * it is not to be delivered.
   */
  forward(client: AedesClient, message: Message): Message | null {
    const shown = new Shown(message, packet => insidePacket(this.aedes, packet, message.publisher))
    const packet = this.#hooks.forward(client, shown.packet as InsidePacket)
    return packet && this.#changed(shown, packet)
  }

  /** What a hook has made of a packet; null when that is no message. */
  #changed(shown: Shown, packet?: HookPublish): Message | null {
    try {
      return shown.message(packet)
    } catch (error) {
      this.#report('a packet that a hook has changed', error)
      return null
    }
  }

  // ---- what the process sees

  /** Whether anybody in the process wants to see what clients publish. */
  get isObserved(): boolean {
    return isWatched(this.#showingParts)
  }

  /** Shows the publishes of one client to the process. @param port told when it is ready for more. */
  showing(client: AedesClient, port: Pick<ClientPort, 'shown'>): Showing {
    return new Showing(this.#showingParts, client, error => port.shown(error))
  }

  /** Shows a message that no connection waits with: a will. @param client null when it is gone. */
  observe(message: Message, client: AedesClient | null): void {
    if (!this.isObserved) return
    const done = (error: Error | null) => {
      if (error) this.#report('the hook published', error)
    }
    show(this.#showingParts, message, client, done)
  }

  /** Closes all clients and stops Aedes. */
  close(): Promise<void> {
    membersOf(this.aedes).closed = false
    return new Promise(resolve => this.#close(resolve))
  }

  /** The server has begun to close: Aedes says so from now on. */
  closing(): void {
    membersOf(this.aedes).closed = true
  }

  // ---- inside

  async #listenInside(inside: InProcess): Promise<void> {
    await this.#watchers.onInside('#', (packet, done) => {
      try {
        const isStored = packet.qos > 0 || packet.retain
        if (isSystem(packet.topic) || !isStored) {
          inside.forward(messageOf({ ...packet, qos: 0 }), packet.topic)
        }
      } catch (error) {
        this.#report(`a publish to ${packet.topic} in the process`, error)
      }
      done()
    })
  }
}

async function newAedes({ brokerId, connectTimeoutMs }: BrokerOptions): Promise<Aedes> {
  return await Aedes.createBroker({
    id: brokerId,
    persistence: newMemory(),
    connectTimeout: connectTimeoutMs
  })
}

function refusal(cause: Error | null): Error {
  if (cause instanceof QueueError) return cause
  const problem = cause?.message ?? 'a hook has made of it what is no message'
  return new QueueError('QUEUE_NOT_AUTHORIZED', { cause, detail: { problem } })
}

function assertFit(aedes: Aedes): void {
  const problem = ADOPTED.has(aedes) ? 'carries a server already' : aedes.closed ? 'does not listen' : null
  if (!problem) return
  const detail = { key: 'aedes', origin: 'the given broker', problem }
  throw new QueueError('QUEUE_CONFIG_INVALID', { detail })
}
