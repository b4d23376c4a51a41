import { Counter, Gauge, type Registry } from 'prom-client'
import { type Bus, definePlugin } from '../../src/plugin.ts'
import { databaseOf, parseRedisUrl } from './address.ts'
import type { BusCounts } from './bus.ts'

/** Options of the plugin. */
export interface RedisOptions {
  readonly prefix: string
}

/**
 * Joins brokers that share a store through a Redis: wakes them up, and carries messages of QoS 0. All of it may be lost;
 * what is kept goes through the store.
 */
export const redis = definePlugin<RedisOptions>({
  name: 'redis',
  schema: {
    type: 'object',
    required: [],
    additionalProperties: false,
    properties: {
      prefix: {
        type: 'string',
        default: '',
        maxLength: 200,
        description:
          'Brokers with the same one hear each other. Empty: the name of the database in mongodbUrl. Databases of one name that share a Redis need one each.'
      }
    }
  },
  async setup({ settings, log, clock, metrics }, { prefix }) {
    if (settings.redisUrl === '') return {}
    const { RedisBus } = await import('./bus.ts') // a server without a Redis starts without its driver
    const bus: Bus = new RedisBus({
      address: parseRedisUrl(settings.redisUrl),
      prefix: prefix || databaseOf(settings.mongodbUrl),
      log,
      clock,
      counts: registerCounts(metrics, () => bus.isConnected)
    })
    return { bus, close: () => bus.close() }
  }
})

function registerCounts(registry: Registry, isConnected: () => boolean): BusCounts {
  const registers = [registry]
  const counter = (name: string, help: string) => {
    const counted = new Counter({ name: `restante_redis_${name}_total`, help, registers })
    return (messages: number) => counted.inc(messages)
  }
  new Gauge({
    name: 'restante_redis_connected',
    help: '1 while what is sent to the Redis that joins the brokers comes back.',
    registers,
    collect() {
      this.set(isConnected() ? 1 : 0)
    }
  })
  return {
    told: counter('told', 'Wake-ups and messages of QoS 0 sent to the other brokers.'),
    heard: counter('heard', 'Wake-ups and messages of QoS 0 that came from other brokers.'),
    dropped: counter('dropped', 'Wake-ups and messages of QoS 0 not sent: Redis was away, or too slow.')
  }
}
