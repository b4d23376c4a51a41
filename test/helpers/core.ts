import { duplexPair } from 'node:stream'
import type { ExecutionContext } from 'ava'
import type { PluginGates } from '../../src/broker/broker.ts'
import { type Clock, systemClock } from '../../src/clock.ts'
import { defaultSettings, type Settings } from '../../src/config/settings.ts'
import { Core } from '../../src/core.ts'
import { Events } from '../../src/events.ts'
import type { Logger } from '../../src/log.ts'
import type { Store } from '../../src/store/store.ts'
import { ModelStore } from './model-store.ts'
import { RawClient, type RawConnect } from './raw-client.ts'

/** A log that keeps what it is told. */
export class RecordingLog implements Logger {
  readonly lines: { readonly level: string; readonly fields: object; readonly text: string }[] = []
  debug(fields: object, text: string): void {
    this.#add('debug', fields, text)
  }
  info(fields: object, text: string): void {
    this.#add('info', fields, text)
  }
  warn(fields: object, text: string): void {
    this.#add('warn', fields, text)
  }
  error(fields: object, text: string): void {
    this.#add('error', fields, text)
  }
  /** The texts of one level. */
  texts(level: string): string[] {
    return this.lines.filter(line => line.level === level).map(line => line.text)
  }
  #add(level: string, fields: object, text: string): void {
    this.lines.push({ level, fields, text })
  }
}

export interface TestCore<S extends Store> {
  readonly core: Core
  readonly store: S
  readonly log: RecordingLog
  readonly events: Events
  /** A client over a pair of streams: no port, no timing. */
  connect(options?: RawConnect): Promise<RawClient>
  /** A connection that has sent nothing. */
  open(): RawClient
}

/** What a core is started with. */
export interface CoreParts<S extends Store = ModelStore> {
  readonly store?: S
  readonly settings?: Partial<Settings>
  readonly clock?: Clock
  readonly gates?: readonly PluginGates[]
}

/** Starts the stages of a server on a store, without listeners. It is closed when the test ends. */
export async function startCore<S extends Store = ModelStore>(
  t: ExecutionContext,
  options: CoreParts<S> = {}
): Promise<TestCore<S>> {
  const store = (options.store ?? new ModelStore()) as S
  const { clock = systemClock } = options
  const log = new RecordingLog()
  const settings = defaultSettings({ checkpointMs: 3_600_000, ...options.settings })
  const events = new Events(log)
  const core = await Core.open({ store, settings, clock, log, events, gates: options.gates })
  const ends: (() => void)[] = []
  t.teardown(async () => {
    for (const end of ends) end()
    await core.close().catch(() => {})
  })
  const open = () => {
    const [ours, theirs] = duplexPair()
    // one end of a pair does not see that the other was destroyed
    ours.once('close', () => theirs.destroy())
    core.front.handle(theirs)
    ends.push(() => ours.destroy())
    return RawClient.open(ours)
  }
  return {
    core,
    store,
    log,
    events,
    open,
    async connect(connectOptions = {}) {
      const client = open()
      const connack = await client.login(connectOptions)
      const code = connack.reasonCode ?? connack.returnCode ?? 0
      if (code !== 0) throw new Error(`connection refused with 0x${code.toString(16)}`)
      return client
    }
  }
}
