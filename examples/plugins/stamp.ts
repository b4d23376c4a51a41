/**
 * A plugin of one's own: gives JSON messages of the queues it is told a field with the time of their acceptance.
 *
 * npm start -- --plugin ./examples/plugins/stamp.ts --plugins '{"stamp": {"queues": ["DB"]}}'
 */
import { Counter } from 'prom-client'
import { definePlugin, QueueError, splitTopic } from '../../src/plugin.ts' // elsewhere: 'restante/plugin'

/** What can be set under `plugins.stamp`. */
export interface StampOptions {
  /** Queues whose messages get a stamp. */
  queues: string[]
  /** Name of the field. */
  field: string
}

export default definePlugin<StampOptions>({
  name: 'stamp',
  schema: {
    type: 'object',
    additionalProperties: false,
    required: ['queues', 'field'],
    properties: {
      queues: { type: 'array', items: { type: 'string' }, default: ['DB'] },
      field: { type: 'string', minLength: 1, default: 'acceptedAt' }
    }
  },
  commands: [
    {
      usage: 'read <payload>',
      describe: 'Print the stamp in a payload',
      options: { field: { type: 'string', default: 'acceptedAt', describe: 'Name of the field' } },
      async run({ payload, field }) {
        const stamp = parsed(String(payload))?.[String(field)]
        console.log(stamp ?? 'no stamp')
        return stamp === undefined ? 1 : 0
      }
    }
  ],
  setup({ clock, metrics }, { queues, field }) {
    const stamped = new Counter({
      name: 'restante_stamp_messages_total',
      help: 'Messages that got a stamp',
      registers: [metrics]
    })
    let last: string | null = null
    return {
      gates: {
        authorizePublish(_asking, message) {
          if (!queues.includes(splitTopic(message.topic).queue)) return
          const record = parsed(message.payload.toString())
          if (!record) {
            const problem = `messages of ${queues.join(', ')} must be JSON objects, so that they can be stamped`
            throw new QueueError('QUEUE_NOT_AUTHORIZED', { detail: { problem } })
          }
          last = new Date(clock.now()).toISOString()
          message.payload = Buffer.from(JSON.stringify({ ...record, [field]: last }))
          stamped.inc()
        }
      },
      async routes(app) {
        app.get('/stamp', async () => ({ queues, field, last }))
      }
    }
  }
})

function parsed(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null
  } catch {
    return null
  }
}
