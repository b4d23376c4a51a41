import { definePlugin, errorText, type PluginContext } from '../../src/plugin.ts'
import { DropSums } from './drop-sums.ts'

const PREFIX = '$events/client/'

/** Most filters that one event names; the others are counted. */
const MAX_FILTERS = 100

const PROTOCOLS: Readonly<Record<number, string>> = { 3: '3.1', 4: '3.1.1', 5: '5.0' }

/**
 * Tells over MQTT what clients do: `$events/client/connected`, `disconnected`, `subscribed`, `unsubscribed`, `ended`,
 * `dropped`, as JSON, QoS 0, not stored. It has no options.
 */
export const events = definePlugin<Record<string, never>>({
  name: 'events',
  schema: { type: 'object', required: [], additionalProperties: false },
  setup(context) {
    let stop = () => {}
    return {
      started() {
        stop = listen(context)
      },
      async close() {
        stop()
      }
    }
  }
})

/** Publishes what happens from now on; @returns stops it. */
function listen({ events, publisher, clock, log }: PluginContext): () => void {
  const tell = (name: string, content: object): void => {
    const topic = `${PREFIX}${name}`
    try {
      if (!publisher.isHeard(topic)) return
      publisher.announce(topic, JSON.stringify({ at: isoTime(clock.now()), ...content }))
    } catch (error) {
      // an event that is larger than a packet may be, or a server that is stopping
      log.debug({ event: name, reason: errorText(error) }, 'an event could not be published')
    }
  }
  const drops = new DropSums(clock, ({ clientId, ...sum }) => tell('dropped', { client: clientId, ...sum }))
  const stops = [
    events.on(
      'clientConnected',
      ({ clientId, username, protocolVersion, isPersistent, isResumed, ...rest }) => {
        const protocol = PROTOCOLS[protocolVersion] ?? String(protocolVersion)
        const { address, transport, keepAliveSeconds } = rest
        const connection = { username, address, transport, protocol, keepAliveSeconds }
        tell('connected', { client: clientId, ...connection, persistent: isPersistent, resumed: isResumed })
      }
    ),
    events.on('clientDisconnected', ({ clientId, connectedAt, reason }) =>
      tell('disconnected', { client: clientId, connectedAt: isoTime(connectedAt), reason })
    ),
    events.on('subscribed', ({ clientId, subscriptions }) => {
      const shown = subscriptions.slice(0, MAX_FILTERS).map(({ filter, qos }) => ({ filter, qos }))
      tell('subscribed', {
        client: clientId,
        subscriptions: shown,
        more: subscriptions.length - shown.length
      })
    }),
    events.on('unsubscribed', ({ clientId, filters }) => {
      const shown = filters.slice(0, MAX_FILTERS)
      tell('unsubscribed', { client: clientId, filters: shown, more: filters.length - shown.length })
    }),
    events.on('sessionEnded', ({ clientId, reason }) => tell('ended', { client: clientId, reason })),
    events.on('dropped', drop => drops.add(drop))
  ]
  return () => {
    for (const stop of stops) stop()
    drops.close()
  }
}

function isoTime(at: number): string {
  return new Date(at).toISOString()
}
