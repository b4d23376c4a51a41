import { definePlugin } from '../../src/plugin.ts'
import { addBatchRoute } from './batch.ts'
import { addSingleRoutes } from './single.ts'

/** Options of the plugin. */
export interface PublishOptions {
  /** Most messages of a batch. */
  readonly maxBatchMessages: number
  /** Largest body of a batch, in bytes. */
  readonly maxBatchBytes: number
}

/** Publishes what comes by HTTP, one message or a batch, and answers when the store has it. */
export const publish = definePlugin<PublishOptions>({
  name: 'publish',
  schema: {
    type: 'object',
    required: [],
    additionalProperties: false,
    properties: {
      maxBatchMessages: {
        type: 'integer',
        minimum: 1,
        maximum: 100_000,
        default: 1_000,
        description: 'Most messages of a batch.'
      },
      maxBatchBytes: {
        type: 'integer',
        minimum: 1_024,
        maximum: 268_435_456,
        default: 4_194_304,
        description: 'Largest body of a batch, in bytes.'
      }
    }
  },
  setup(context, options) {
    return {
      async routes(app) {
        await app.register(async scope => addSingleRoutes(scope, context))
        await app.register(async scope => addBatchRoute(scope, context, options))
      }
    }
  }
})
