import { AssertionError } from 'node:assert'
import * as aedes from 'aedes'
import { type AedesOptions, Aedes as PlainAedes } from 'aedes'
import { type Logger, restante } from '../../src/index.ts'

/** What a test asserts in a hook or listener must fail the test, although the server survives what they throw. */
const log: Logger = {
  debug() {},
  info() {},
  warn() {},
  error(fields) {
    const { err } = fields as { err?: unknown }
    if (!isAssertion(err)) return
    queueMicrotask(() => {
      throw err
    })
  }
}

/** Aedes whose brokers are adopted as soon as they listen. */
export class Aedes extends PlainAedes {
  override async listen(): Promise<void> {
    await super.listen()
    await restante({ aedes: this, settings: { store: 'memory', checkpointMs: 600_000 }, log })
  }

  static override async createBroker(options?: AedesOptions): Promise<Aedes> {
    const broker = new Aedes(options)
    await broker.listen()
    return broker
  }
}

export default (aedes as { default?: unknown }).default

function isAssertion(error: unknown): boolean {
  return error instanceof AssertionError || (error as { code?: unknown } | null)?.code === 'ERR_ASSERTION'
}
