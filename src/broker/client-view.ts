import type { EventEmitter } from 'node:events'
import type { IConnackPacket } from 'mqtt-packet'
import { assertTopic } from '../topic.ts'
import type { Message } from '../wire/message.ts'
import type { AedesClient, HookSubscription, InsidePacket } from './aedes-types.ts'
import { emitSafely, once, type Report } from './guard.ts'
import { messageOf, parsePacket } from './packets.ts'

/** The will of a client as the application knows it. */
export interface HookWill {
  topic: string
  payload: Buffer
  qos: 0 | 1 | 2
  retain: boolean
  properties?: object
}

/** What CONNECT asked for and Aedes is not shown; `preConnect` may change it. */
export interface ConnectTerms {
  /** Clean Session, or Clean Start. */
  readonly isCleanStart: boolean
  readonly keepAliveSeconds: number
  /** Seconds the session is kept after the disconnect; 0: not at all; null: for ever. */
  readonly expirySeconds: number | null
  readonly will: HookWill | null
}

/** What the client object of Aedes asks of its connection. The front implements it. */
export interface ClientPort {
  /** Null before CONNECT has come. */
  terms: ConnectTerms | null
  /** Seconds its session is kept after the disconnect; 0: not at all; null: for ever. */
  readonly expirySeconds: number | null
  /** Subscriptions of its session. */
  subscriptions(): Iterable<HookSubscription>
  /** Sends a message to this client alone; one of QoS 1 or 2 is its session's until it is acked. Resolves when stored. */
  publish(message: Message): Promise<void>
  /** As SUBSCRIBE of the client would. @param packetId of the SUBACK to send; null: none. */
  subscribe(subscriptions: readonly HookSubscription[], packetId: number | null): Promise<unknown>
  /** As UNSUBSCRIBE of the client would. */
  unsubscribe(filters: readonly string[], packetId: number | null): Promise<void>
  /** Drops what is queued and inflight for the session. */
  emptyQueue(): Promise<void>
  /** What was shown to the process is done with; with what the hook `published` called back with. */
  shown(error: Error | null): void
}

type Done = (error?: Error) => void

const EXPIRY_NEVER = 0xffffffff
/** Properties that Aedes keeps in the object, and that are ours to tell. */
const OWN = ['clean', 'subscriptions', 'sessionExpiryInterval', 'will'] as const

/**
 * Lets a client object of Aedes tell and do what is true of its session: Aedes itself takes every session for a clean
 * one without subscriptions.
 */
export class ClientView {
  readonly client: AedesClient
  readonly port: ClientPort
  readonly #report: Report
  #isOpen = false
  /** Events that are told when the session is open. */
  readonly #events: (() => void)[] = []
  /** What the application asked for before the session is open. */
  #waiting: (() => void)[] = []
  #connack: Buffer | null = null
  #ready: () => void = () => {}

  constructor(client: AedesClient, port: ClientPort, report: Report) {
    this.client = client
    this.port = port
    this.#report = report
    for (const name of OWN) delete (client as unknown as Record<string, unknown>)[name]
    Object.setPrototypeOf(client, shownPrototype(Object.getPrototypeOf(client) as object))
    VIEWS.set(client, this)
  }

  /**
   * The session is open: what Aedes has said too early is told now.
   * @param connack the packet that was sent. @param ready called when listeners know that the client is let in.
   */
  open(connack: Buffer, ready: () => void): void {
    this.#connack = connack
    this.#ready = ready
    this.#isOpen = true
    for (const task of this.#waiting.splice(0)) task()
    this.#tellSoon()
  }

  /** Tells an event that belongs behind the opening of the session, and behind those before it. */
  tell(emit: () => void): void {
    this.#events.push(emit)
    if (this.#isOpen) this.#tellSoon()
  }

  /** When CONNACK is written: that is done at the end of the turn. */
  #tellSoon(): void {
    setImmediate(() => this.#tellAll())
  }

  /** Listeners know that the client is let in. */
  toldReady(): void {
    this.#ready()
  }

  /** The CONNACK that the client got, in the form of the one that Aedes wrote. */
  connackSent(fromAedes: IConnackPacket): IConnackPacket {
    if (!this.#connack) return fromAedes
    const { sessionPresent, properties } = parsePacket(this.#connack, this.client.version) as IConnackPacket
    this.#connack = null
    return { ...fromAedes, sessionPresent, ...(properties ? { properties } : {}) }
  }

  /** The connection is over: what was waiting fails, and what was not told yet comes before the event that says so. */
  close(): void {
    for (const task of this.#waiting.splice(0)) task()
    if (this.#isOpen) this.#tellAll()
  }

  #tellAll(): void {
    for (let emit = this.#events.shift(); emit; emit = this.#events.shift()) emit()
  }

  get isClean(): boolean {
    return this.port.expirySeconds === 0
  }

  get sessionExpiryInterval(): number {
    return this.port.expirySeconds ?? EXPIRY_NEVER
  }

  /** Aedes itself, which looks before the session is open and when it closes a client, finds none. */
  get will(): HookWill | null {
    return this.#isOpen && !this.client.closed ? (this.port.terms?.will ?? null) : null
  }

  /** By filter. Aedes itself, which looks when it closes a client, finds none. */
  subscriptions(): Record<string, HookSubscription> {
    const found: Record<string, HookSubscription> = Object.create(null)
    if (this.client.closed) return found
    for (const subscription of this.port.subscriptions()) found[subscription.topic] = subscription
    return found
  }

  /** Does what the application asks for, once the session is open, and calls back. */
  run(task: () => Promise<void>, done: Done | undefined): void {
    const callback = once((error?: Error) => done?.(error))
    const start = () => {
      task().then(() => callback(), callback)
    }
    if (this.#isOpen || this.client.closed) start()
    else this.#waiting.push(start)
  }

  emit(event: string, args: unknown[]): boolean {
    const emit = () => emitSafely(this.client, event, args, this.#report)
    if (event !== 'connected') return emit()
    this.tell(emit)
    return true
  }
}

const VIEWS = new WeakMap<object, ClientView>()
const PROTOTYPES = new WeakMap<object, object>()

/** The view of a client object. */
export function viewOf(client: AedesClient): ClientView | undefined {
  return VIEWS.get(client)
}

/** The prototype of client objects, with what is ours laid over it; made once for each class of client. */
function shownPrototype(base: object): object {
  const known = PROTOTYPES.get(base)
  if (known) return known
  const shown = Object.create(base, Object.getOwnPropertyDescriptors(OVERLAY)) as object
  PROTOTYPES.set(base, shown)
  return shown
}

type Self = AedesClient & EventEmitter

function view(client: unknown): ClientView {
  return VIEWS.get(client as object)!
}

/** Setters are there because Aedes writes what it takes for the truth; that is passed over. */
const OVERLAY = {
  get clean(): boolean {
    return view(this).isClean
  },
  set clean(_clean: boolean) {},
  get sessionExpiryInterval(): number {
    return view(this).sessionExpiryInterval
  },
  set sessionExpiryInterval(_seconds: number) {},
  get subscriptions(): Record<string, HookSubscription> {
    return view(this).subscriptions()
  },
  set subscriptions(_subscriptions: unknown) {},
  get will(): HookWill | null {
    return view(this).will
  },
  set will(_will: unknown) {},

  publish(this: Self, packet: InsidePacket, done?: Done): void {
    const { port } = view(this)
    const publish = async () => {
      assertTopic(packet.topic)
      await port.publish(messageOf({ ...packet, retain: false }))
    }
    view(this).run(publish, done)
  },
  subscribe(this: Self, asked: SubscribeArgument, done?: Done): void {
    const { subscriptions, messageId = null } = subscribePacket(asked)
    view(this).run(async () => {
      await view(this).port.subscribe(subscriptions, messageId)
    }, done)
  },
  unsubscribe(this: Self, asked: UnsubscribeArgument, done?: Done): void {
    const { filters, messageId } = unsubscribePacket(asked)
    view(this).run(() => view(this).port.unsubscribe(filters, messageId), done)
  },
  emptyOutgoingQueue(this: Self, done?: Done): void {
    view(this).run(() => view(this).port.emptyQueue(), done)
  },
  emit(this: Self, event: string, ...args: unknown[]): boolean {
    return view(this).emit(event, args)
  }
}

type SubscribePacket = { subscriptions: HookSubscription[]; messageId?: number }
type SubscribeArgument = HookSubscription | HookSubscription[] | SubscribePacket
type Filter = string | { topic: string }
type UnsubscribeArgument =
  | Filter
  | Filter[]
  | { unsubscriptions: Filter[]; messageId?: number }
  | { subscriptions: Filter[] }

/** All forms that `client.subscribe` takes. */
function subscribePacket(asked: SubscribeArgument): SubscribePacket {
  if ('subscriptions' in asked) return asked
  return { subscriptions: Array.isArray(asked) ? asked : [asked] }
}

/** All forms that `client.unsubscribe` takes. */
function unsubscribePacket(asked: UnsubscribeArgument): { filters: string[]; messageId: number | null } {
  const name = (filter: Filter) => (typeof filter === 'string' ? filter : filter.topic)
  if (typeof asked === 'string' || 'topic' in asked) return { filters: [name(asked)], messageId: null }
  if (Array.isArray(asked)) return { filters: asked.map(name), messageId: null }
  if ('subscriptions' in asked) return { filters: asked.subscriptions.map(name), messageId: null }
  return { filters: asked.unsubscriptions.map(name), messageId: asked.messageId ?? null }
}
