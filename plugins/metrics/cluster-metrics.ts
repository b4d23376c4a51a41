import { Counter, Gauge, type Registry } from 'prom-client'
import { type BrokerRow, inLane, type Peers } from '../../src/plugin.ts'

const NO_CALLS = { answered: 0, failed: 0, missed: 0 }
const STATES = ['live', 'silent', 'stopped', 'dead'] as const

/** Registers what this broker knows of those that share its store; one that is alone knows itself. */
export function addClusterMetrics(registry: Registry, peers: () => Peers | null): void {
  const registers = [registry]
  new Gauge({
    name: 'restante_brokers',
    help: 'Brokers on this store, this one included, by state.',
    labelNames: ['state'],
    registers,
    collect() {
      const states = peers()
        ?.brokers()
        .map(({ state }) => state) ?? ['live']
      for (const state of STATES) this.set({ state }, states.filter(other => other === state).length)
    }
  })
  new Gauge({
    name: 'restante_broker_lag_messages',
    help: 'Messages of other live brokers that this one has not read yet.',
    registers,
    collect() {
      const brokers = peers()?.brokers() ?? []
      this.set(brokers.filter(({ isSelf, state }) => !isSelf && state === 'live').reduce(addLag, 0))
    }
  })
  addCalls(registry, peers)
}

function addLag(lag: number, { headSequence, followedSequence }: BrokerRow): number {
  return lag + Math.max(0, inLane(headSequence) - inLane(followedSequence))
}

function addCalls(registry: Registry, peers: () => Peers | null): void {
  new Counter({
    name: 'restante_broker_calls_total',
    help: 'What this broker asked of others: answered, failed (with an error), missed (no answer in time).',
    labelNames: ['outcome'],
    registers: [registry],
    collect() {
      this.reset()
      for (const [outcome, calls] of Object.entries(peers()?.counts ?? NO_CALLS)) this.inc({ outcome }, calls)
    }
  })
}
