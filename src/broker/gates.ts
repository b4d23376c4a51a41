import type { MessageProperties } from '../control.ts'
import { errorText, isQueueError, QueueError } from '../errors.ts'
import type { Asking, Gates, LoginAttempt, PublishAttempt, SubscribeAttempt } from '../gates.ts'
import type { AedesClient, HookSubscription } from './aedes-types.ts'
import type { HookPublish } from './packets.ts'

/** The gates of one plugin. */
export interface PluginGates {
  readonly plugin: string
  readonly gates: Partial<Gates>
}

/** CONNACK of MQTT 3.1.1 for a login that is refused: not authorized. Aedes makes 0x87 of it for MQTT 5. */
const NOT_AUTHORIZED_311 = 5

/** What a gate answers: nothing when it lets pass, else why not. */
type Verdict = Error | null

/** Asks the gates of all plugins, one after the other, before the hooks of the application. */
export class GateKeeper {
  readonly #all: readonly PluginGates[]
  readonly #failed: (plugin: string, error: unknown) => void

  /** @param failed told of a gate that has thrown something else than a QueueError. */
  constructor(all: readonly PluginGates[], failed: (plugin: string, error: unknown) => void) {
    this.#all = all
    this.#failed = failed
  }

  /** Whether some plugin decides this. */
  has(name: keyof Gates): boolean {
    return this.#all.some(({ gates }) => gates[name])
  }

  /** @param done called once, during the call unless a gate takes its time. */
  authenticate(
    client: AedesClient,
    username: unknown,
    password: unknown,
    done: (verdict: Verdict) => void
  ): void {
    const attempt: LoginAttempt = {
      clientId: client.id,
      username: username === undefined || username === null ? null : String(username),
      password: Buffer.isBuffer(password) ? password : null,
      address: addressOf(client),
      protocolVersion: client.version
    }
    const refused = (verdict: Verdict) =>
      done(verdict && Object.assign(verdict, { returnCode: NOT_AUTHORIZED_311 }))
    this.#ask(gates => gates.authenticate?.(attempt), refused)
  }

  /** A gate may change the packet. @param done as with {@link authenticate}. */
  authorizePublish(client: AedesClient | null, packet: HookPublish, done: (verdict: Verdict) => void): void {
    const attempt = publishAttempt(packet)
    const asking = client && askingOf(client)
    this.#ask(
      gates => gates.authorizePublish?.(asking, attempt),
      verdict => {
        if (!verdict) takeChanges(packet, attempt)
        done(verdict)
      }
    )
  }

  /** A gate may lower the QoS. @param done as with {@link authenticate}. */
  authorizeSubscribe(
    client: AedesClient,
    subscription: HookSubscription,
    done: (verdict: Verdict) => void
  ): void {
    const attempt: SubscribeAttempt = { filter: subscription.topic, qos: subscription.qos }
    this.#ask(
      gates => gates.authorizeSubscribe?.(askingOf(client), attempt),
      verdict => {
        subscription.qos = Math.min(subscription.qos, attempt.qos) as 0 | 1 | 2
        done(verdict)
      }
    )
  }

  #ask(
    call: (gates: Partial<Gates>) => void | Promise<void>,
    done: (verdict: Verdict) => void,
    from = 0
  ): void {
    for (let i = from; i < this.#all.length; i++) {
      const { plugin, gates } = this.#all[i]!
      try {
        const answer = call(gates)
        if (!answer) continue
        answer.then(
          () => this.#ask(call, done, i + 1),
          (error: unknown) => done(this.#refusal(plugin, error))
        )
      } catch (error) {
        done(this.#refusal(plugin, error))
      }
      return
    }
    done(null)
  }

  /** A gate that fails refuses: what it guards is not known then. */
  #refusal(plugin: string, error: unknown): Error {
    // of another copy of the class: as one of ours it is known everywhere
    if (isQueueError(error)) return new QueueError(error.code, { cause: error, detail: error.detail })
    this.#failed(plugin, error)
    return new QueueError('QUEUE_NOT_AUTHORIZED', {
      cause: error,
      detail: { problem: `the plugin ${plugin} failed to decide (${errorText(error)})` }
    })
  }
}

function askingOf(client: AedesClient): Asking {
  const { username } = client as AedesClient & { username?: string | null }
  return { clientId: client.id, username: username ?? null }
}

function addressOf({ conn }: AedesClient): string | null {
  const { remoteAddress, remotePort } = conn as { remoteAddress?: string; remotePort?: number }
  return remoteAddress === undefined ? null : `${remoteAddress}:${remotePort}`
}

function publishAttempt({ topic, payload, qos, retain, properties }: HookPublish): PublishAttempt {
  const bytes = Buffer.isBuffer(payload) ? payload : Buffer.from(payload)
  return {
    topic,
    payload: bytes,
    qos,
    isRetained: retain,
    properties: (properties ?? null) as MessageProperties | null
  }
}

function takeChanges(
  packet: HookPublish,
  { topic, payload, qos, isRetained, properties }: PublishAttempt
): void {
  if (packet.topic !== topic) packet.topic = topic
  if (packet.payload !== payload && !isSameText(packet.payload, payload)) packet.payload = payload
  packet.qos = qos
  packet.retain = isRetained
  if (properties && packet.properties)
    packet.properties = properties as NonNullable<HookPublish['properties']>
}

function isSameText(before: string | Buffer, after: Buffer): boolean {
  return typeof before === 'string' && after.equals(Buffer.from(before))
}
