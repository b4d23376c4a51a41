import { once } from 'node:events'
import { type Duplex, duplexPair } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { Aedes, type AedesOptions } from 'aedes'
import type { ExecutionContext } from 'ava'
import { RawClient } from './raw-client.ts'
import { withDeadline } from './signal.ts'

/** Versions of MQTT that differ for what is tested, and their protocol level. */
export const VERSIONS = [
  ['3.1.1', 4],
  ['5', 5]
] as const

const TURNS_UNTIL_QUIET = 20

/** Lets everything that is only waiting for a turn of the event loop happen. */
export async function quiet(): Promise<void> {
  for (let i = 0; i < TURNS_UNTIL_QUIET; i++) await turn()
}

/** Aedes alone; it is closed when the test ends. */
export async function startAedes(t: ExecutionContext, options: AedesOptions = {}): Promise<Aedes> {
  const aedes = await Aedes.createBroker(options)
  t.teardown(() => new Promise<void>(resolve => aedes.close(resolve)))
  return aedes
}

/** Gives one end of a pair of streams to a `handle`. As with a socket, the other end hears of its end. */
export function openClient(t: ExecutionContext, handle: (stream: Duplex) => unknown): RawClient {
  const [ours, theirs] = duplexPair()
  theirs.once('close', () => {
    ours.once('end', () => ours.destroy())
    if (!ours.push(null) && ours.readableEnded) ours.destroy()
  })
  ours.once('close', () => theirs.destroy())
  t.teardown(() => ours.destroy())
  handle(theirs)
  return RawClient.open(ours)
}

/** Waits for an event. */
export function event(emitter: Aedes, name: string): Promise<unknown[]> {
  return withDeadline(once(emitter, name), { describe: () => `the event ${name}` })
}
