import { definePlugin, type PluginContext, packageVersion, type Timer } from '../../src/plugin.ts'
import { type ClientCounts, Figures } from './figures.ts'

/** Options of the plugin. */
export interface SysOptions {
  /** Seconds from one look at the figures to the next. */
  readonly intervalSeconds: number
}

const PREFIX = '$SYS/broker/'

/**
 * Publishes the figures of the server under the names that users of mosquitto know: retained, so that who subscribes
 * has them at once, and again only when they change. Nothing is done while messages are accepted and delivered.
 */
export const sys = definePlugin<SysOptions>({
  name: 'sys',
  schema: {
    type: 'object',
    required: [],
    additionalProperties: false,
    properties: {
      intervalSeconds: {
        type: 'integer',
        minimum: 1,
        maximum: 86_400,
        default: 10,
        description: 'Seconds from one look at the figures to the next.'
      }
    }
  },
  setup(context, { intervalSeconds }) {
    const counts: ClientCounts = { maximum: 0, expired: 0 }
    const stopCounting = countClients(context, counts)
    let timer: Timer | undefined
    return {
      started() {
        const { directory, clock, publisher } = context
        const figures = new Figures({ directory, clock, counts, version: packageVersion() })
        const told = new Map<string, string>()
        const tell = () => {
          for (const [name, figure] of figures.read()) {
            if (told.get(name) === figure) continue
            told.set(name, figure)
            publisher.announce(`${PREFIX}${name}`, figure, { isRetained: true })
          }
        }
        tell()
        timer = clock.every(intervalSeconds * 1_000, tell)
      },
      async close() {
        timer?.cancel()
        stopCounting()
      }
    }
  }
})

/** Keeps counts up to date; @returns stops it. */
function countClients({ events }: PluginContext, counts: ClientCounts): () => void {
  let connected = 0
  const stops = [
    events.on('clientConnected', () => {
      connected++
      counts.maximum = Math.max(counts.maximum, connected)
    }),
    events.on('clientDisconnected', () => {
      connected--
    }),
    events.on('sessionEnded', ({ reason }) => {
      if (reason === 'expired') counts.expired++
    })
  ]
  return () => {
    for (const stop of stops) stop()
  }
}
