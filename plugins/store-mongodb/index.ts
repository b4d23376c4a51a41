import { definePlugin, errorText, QueueError } from '../../src/plugin.ts'

/** Keeps messages and state in a MongoDB, which several brokers may share. */
export const storeMongodb = definePlugin<Record<string, never>>({
  name: 'store-mongodb',
  schema: { type: 'object', additionalProperties: false, required: [] },
  async setup({ settings, clock, log }) {
    const { mongodbUrl, brokerName, brokerTimeoutMs, storeTimeoutMs } = settings
    if (mongodbUrl === '') throw invalidUrl('the store mongodb needs the address of a MongoDB')
    // a server with another store starts without the driver
    const [{ MongoStore }, { makeClusterPart }] = await Promise.all([
      import('./mongo-store.ts'),
      import('./cluster/index.ts')
    ])
    const options = { mongodbUrl, brokerName, brokerTimeoutMs, storeTimeoutMs, clock, log }
    try {
      return { store: new MongoStore({ ...options, makeClusterPart }) }
    } catch (cause) {
      throw invalidUrl(errorText(cause))
    }
  }
})

function invalidUrl(problem: string): QueueError {
  const expected = 'expected mongodb://host:port/database, for example mongodb://localhost:27017/restante'
  const detail = { key: 'mongodbUrl', origin: 'settings', problem: `${problem}: ${expected}` }
  return new QueueError('QUEUE_CONFIG_INVALID', { detail })
}
