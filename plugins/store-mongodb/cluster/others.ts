import type { BrokerRow } from '../../../src/plugin.ts'
import { type BrokerRecord, ownerOfRecord } from './broker-record.ts'

/** Rounds without a new heartbeat after which a broker is called silent. */
const SILENT_ROUNDS = 4
/** One pause between two looks counts for so many rounds at most: this process may have been stopped meanwhile. */
const MOST_ROUNDS = 2

interface Seen {
  readonly record: BrokerRecord
  /** For how long, on our own clock, its heartbeat stood still while we looked. */
  silentMs: number
}

/** Milliseconds by which brokers are judged. */
export interface OthersOptions {
  readonly roundMs: number
  readonly brokerTimeoutMs: number
}

/**
 * All brokers, as of the last look. No clock of another machine is compared: a broker lives as long as we see its
 * heartbeat counter move.
 */
export class Others {
  readonly #options: OthersOptions
  #byName = new Map<string, Seen>()
  #lookedMs: number | null = null

  constructor(options: OthersOptions) {
    this.#options = options
  }

  /** Takes in what was read. @param nowMs when the reading began, on the monotonic clock. */
  look(records: readonly BrokerRecord[], nowMs: number): void {
    const passedMs = Math.min(nowMs - (this.#lookedMs ?? nowMs), MOST_ROUNDS * this.#options.roundMs)
    const byName = new Map<string, Seen>()
    for (const record of records) {
      const before = this.#byName.get(record._id)
      const isStill =
        before?.record.incarnation === record.incarnation && before.record.heartbeat === record.heartbeat
      byName.set(record._id, { record, silentMs: isStill ? before.silentMs + passedMs : 0 })
    }
    this.#byName = byName
    this.#lookedMs = nowMs
  }

  get records(): readonly BrokerRecord[] {
    return [...this.#byName.values()].map(({ record }) => record)
  }

  /** The broker of a name. */
  get(name: string): BrokerRecord | undefined {
    return this.#byName.get(name)?.record
  }

  /** The broker that is this owner at present; undefined when no broker is any more. */
  living(owner: number): BrokerRecord | undefined {
    return this.records.find(record => record.state === 'live' && ownerOfRecord(record) === owner)
  }

  /** Those said to live that were not heard of for too long. */
  *timedOut(): Iterable<BrokerRecord> {
    const { brokerTimeoutMs } = this.#options
    for (const { record, silentMs } of this.#byName.values()) {
      if (record.state === 'live' && silentMs >= brokerTimeoutMs) yield record
    }
  }

  /** For people. @param followed the newest message of a lane that was read here. */
  rows(self: string, followed: (lane: number) => number): BrokerRow[] {
    return [...this.#byName.values()].map(({ record, silentMs }) => {
      const { _id: name, lane, state, startedAt, head, host, version } = record
      const isSilent = state === 'live' && silentMs > SILENT_ROUNDS * this.#options.roundMs
      return {
        ...{ name, lane, startedAt, host, version },
        state: isSilent ? 'silent' : state,
        isSelf: name === self,
        isEmptied: record.isEmptied,
        heartbeatAgeMs: Math.round(silentMs),
        headSequence: head,
        followedSequence: followed(lane)
      }
    })
  }
}
