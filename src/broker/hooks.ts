import type { Aedes } from 'aedes'
import type { AedesClient, HookSubscription, InsidePacket } from './aedes-types.ts'
import { GateKeeper } from './gates.ts'
import { callSafely, once, type Report } from './guard.ts'
import type { HookPublish } from './packets.ts'

const NAMES = [
  'preConnect',
  'authenticate',
  'authorizePublish',
  'authorizeSubscribe',
  'authorizeForward',
  'published'
] as const

/** A hook of Aedes. */
export type HookName = (typeof NAMES)[number]

type Hook = (...args: unknown[]) => unknown
type Callback = (...args: unknown[]) => void

/** Shows a CONNECT to the application as the client sent it, and takes its changes back. */
export interface ConnectLens {
  /** Called before `preConnect`; returns what to call when it has let the client in. */
  show(client: AedesClient, packet: object): () => void
}

/**
 * The hooks of an Aedes. They stay properties of it that the application sets at any time; what it sets is called so
 * that a hook which throws, rejects or answers twice hurts the client it was asked about and nobody else.
 */
export class Hooks {
  readonly #aedes: Aedes
  readonly #standard: Aedes
  readonly #report: Report
  readonly #lens: ConnectLens
  #gates = new GateKeeper([], () => {})
  readonly #own = new Map<HookName, Hook>()
  /** What stands in for a function of the application, and that function. */
  readonly #originals = new WeakMap<Hook, Hook>()

  /** @param standard an Aedes that was told nothing: its hooks are those that nobody has set. */
  constructor(aedes: Aedes, standard: Aedes, lens: ConnectLens, report: Report) {
    this.#aedes = aedes
    this.#standard = standard
    this.#lens = lens
    this.#report = report
    for (const name of NAMES) this.#guard(name)
  }

  /** What plugins decide, before the hooks of the application. */
  set gates(gates: GateKeeper) {
    this.#gates = gates
  }

  /** Whether the application has set it, or a plugin decides it. */
  isSet(name: HookName): boolean {
    if (isGate(name) && this.#gates.has(name)) return true
    return this.#own.get(name) !== (this.#standard[name] as Hook)
  }

  /**
   * Asks `authorizeForward` about a delivery; the packet it returns may be the same, changed, or another.
   * @returns null when it is not to be delivered, also when the hook throws: what it guards is not known then.
   */
  forward(client: AedesClient, packet: InsidePacket): InsidePacket | null {
    return this.#aedes.authorizeForward(client, packet) ?? null
  }

  #guard(name: HookName): void {
    let guarded = this.#set(name, this.#aedes[name] as Hook)
    Object.defineProperty(this.#aedes, name, {
      configurable: true,
      enumerable: true,
      get: () => guarded,
      set: (hook: Hook) => {
        guarded = this.#set(name, this.#originals.get(hook) ?? hook)
      }
    })
  }

  #set(name: HookName, hook: Hook): Hook {
    this.#own.set(name, hook)
    const guarded = name === 'authorizeForward' ? this.#guardSync(name, hook) : this.#guardAsync(name, hook)
    this.#originals.set(guarded, hook)
    return guarded
  }

  #passGates(name: HookName, args: readonly unknown[], done: (error: Error | null) => void): void {
    const gates = this.#gates
    const client = args[0] as AedesClient
    if (!isGate(name) || !gates.has(name)) done(null)
    else if (name === 'authenticate') gates.authenticate(client, args[1], args[2], done)
    else if (name === 'authorizePublish') gates.authorizePublish(client, args[1] as HookPublish, done)
    else gates.authorizeSubscribe(client, args[1] as HookSubscription, done)
  }

  #guardSync(name: HookName, hook: Hook): Hook {
    return (...args) =>
      callSafely(
        () => Reflect.apply(hook, this.#aedes, args),
        error => this.#report(`the hook ${name}`, error)
      )
  }

  #guardAsync(name: HookName, hook: Hook): Hook {
    const isShown = name === 'preConnect' && hook !== (this.#standard.preConnect as Hook)
    return (...args) => {
      const callback = once(args.pop() as Callback)
      const taken = isShown ? this.#lens.show(args[0] as AedesClient, args[1] as object) : null
      const answer: Callback = (error, ...rest) => callback(error ?? takenBack(taken), ...rest)
      const failed = (error: unknown) => {
        this.#report(`the hook ${name}`, error)
        answer(error)
      }
      const ask = () => callSafely(() => Reflect.apply(hook, this.#aedes, [...args, answer]), failed)
      this.#passGates(name, args, error => (error ? answer(error) : ask()))
    }
  }
}

function isGate(name: HookName): name is 'authenticate' | 'authorizePublish' | 'authorizeSubscribe' {
  return name === 'authenticate' || name === 'authorizePublish' || name === 'authorizeSubscribe'
}

/** What is wrong with the changes of a hook; null when nothing is, or there are none. */
function takenBack(taken: (() => void) | null): unknown {
  try {
    taken?.()
    return null
  } catch (error) {
    return error
  }
}
