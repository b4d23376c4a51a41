import { type AedesClientPacket, type AedesId, processOf, secondsOf } from './aedes-documents.ts'

const MAX_PACKET_ID = 65_535

/** A message that clients are owed. */
export interface QueuedMessage {
  /** Of one of its copies. */
  readonly id: AedesId
  /** The clients it is owed to. */
  readonly clientIds: readonly string[]
}

/** A message that was sent to a client and not acked. */
export interface SentMessage extends QueuedMessage {
  /** By client id: the packet id under which it was sent. */
  readonly packetIds: ReadonlyMap<string, number>
  /** By client id: the QoS with which it was sent. */
  readonly qos: 1 | 2
}

/** What clients are owed, each message once, in the order in which it was accepted. */
export interface AedesQueue {
  /** Sent before, perhaps received: they come first. */
  readonly sent: readonly SentMessage[]
  readonly queued: readonly QueuedMessage[]
  /** By client id: packet ids for which only PUBREL is owed. */
  readonly released: ReadonlyMap<string, readonly number[]>
  /** Copies that were there more than once for the same client. */
  readonly duplicates: number
}

interface Entry {
  readonly id: AedesId
  readonly run: Run
  readonly counter: number
  readonly qos: 1 | 2
  /** By client id: the packet id, 0 when it was not sent. */
  readonly copies: Map<string, number>
  seconds: number
}

/** What one process of Aedes has put into the database. */
interface Run {
  readonly name: string
  firstSeconds: number
}

/**
 * Makes order of what aedes-persistence-mongodb keeps for its clients: a copy of each packet for each subscription that
 * matched it, so that a client with two of them has it twice.
 *
 * The packets of one process of Aedes are in the order of their `brokerCounter`. Those of several are put together by the
 * seconds in their `_id`: which of two brokers was first within the same second is not known.
 */
export class QueueSorter {
  readonly #entries = new Map<string, Entry>()
  readonly #runs = new Map<string, Run>()
  readonly #released = new Map<string, number[]>()
  #duplicates = 0

  /** Takes in the next document of `outgoing`. */
  add({ _id: id, clientId, packet }: AedesClientPacket): void {
    const { cmd, messageId, brokerId = '', brokerCounter = 0, qos = 1 } = packet
    const packetId = isPacketId(messageId) ? messageId : 0
    if (cmd === 'pubrel') {
      if (packetId > 0) this.#release(clientId, packetId)
      return
    }
    const run = this.#run(`${brokerId} ${processOf(id)}`, secondsOf(id))
    // without a number of its broker nothing tells whether it is there twice
    const key = `${run.name} ${brokerCounter || id.toHexString()}`
    let entry = this.#entries.get(key)
    if (!entry) {
      entry = {
        id,
        run,
        counter: brokerCounter,
        qos: qos === 2 ? 2 : 1,
        copies: new Map(),
        seconds: secondsOf(id)
      }
      this.#entries.set(key, entry)
    }
    const known = entry.copies.get(clientId)
    if (known !== undefined) this.#duplicates++
    // of two copies at most one was given a packet id
    entry.copies.set(clientId, known || packetId)
  }

  /** What was found. */
  finish(): AedesQueue {
    const entries = [...this.#entries.values()].sort((a, b) => a.counter - b.counter)
    raiseSeconds(entries)
    entries.sort(
      (a, b) =>
        a.seconds - b.seconds ||
        a.run.firstSeconds - b.run.firstSeconds ||
        compareText(a.run.name, b.run.name) ||
        a.counter - b.counter
    )
    const used = new Map([...this.#released].map(([clientId, ids]) => [clientId, new Set(ids)]))
    const sent: SentMessage[] = []
    const queued: QueuedMessage[] = []
    for (const { id, qos, copies } of entries) {
      const packetIds = new Map([...copies].filter(([clientId, packetId]) => takes(used, clientId, packetId)))
      const others = [...copies.keys()].filter(clientId => !packetIds.has(clientId))
      if (packetIds.size > 0) sent.push({ id, qos, packetIds, clientIds: [...packetIds.keys()] })
      if (others.length > 0) queued.push({ id, clientIds: others })
    }
    return { sent, queued, released: this.#released, duplicates: this.#duplicates }
  }

  #release(clientId: string, packetId: number): void {
    const ids = this.#released.get(clientId) ?? []
    this.#released.set(clientId, ids)
    if (!ids.includes(packetId)) ids.push(packetId)
  }

  #run(name: string, seconds: number): Run {
    const run = this.#runs.get(name) ?? { name, firstSeconds: seconds }
    run.firstSeconds = Math.min(run.firstSeconds, seconds)
    this.#runs.set(name, run)
    return run
  }
}

/** Within a run the time never goes down, so that sorting by time keeps the order of the run. */
function raiseSeconds(entries: readonly Entry[]): void {
  const latest = new Map<Run, number>()
  for (const entry of entries) {
    entry.seconds = Math.max(entry.seconds, latest.get(entry.run) ?? 0)
    latest.set(entry.run, entry.seconds)
  }
}

/** Whether a packet id is that of this message; one that two messages claim is the first one's. */
function takes(used: Map<string, Set<number>>, clientId: string, packetId: number): boolean {
  if (packetId === 0) return false
  const ids = used.get(clientId) ?? new Set()
  used.set(clientId, ids)
  if (ids.has(packetId)) return false
  ids.add(packetId)
  return true
}

function isPacketId(id: unknown): id is number {
  return typeof id === 'number' && Number.isInteger(id) && id >= 1 && id <= MAX_PACKET_ID
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
