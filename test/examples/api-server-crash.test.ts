import test, { type ExecutionContext } from 'ava'
import type { Customer } from '../../examples/shared/customer.ts'
import { startMongodb } from '../helpers/mongodb.ts'
import { startServer } from '../helpers/process.ts'
import { type Api, CreateEvents, startApi } from './api-server-scene.ts'

/** Where the customers are: arguments of the API server, or undefined when there is no such database here. */
const DATABASES: Readonly<Record<string, (t: ExecutionContext) => Promise<readonly string[] | undefined>>> = {
  SQLite: async () => [],
  MongoDB: async t => {
    const mongodb = await startMongodb(t)
    return mongodb && ['--mongodb-url', mongodb.url]
  }
}

/** Posts customers `from` to `to`, several at once; the answers of those that were answered 201. */
async function postMany(api: Api, from: number, to: number, atOnce = 8): Promise<Customer[]> {
  const created: Customer[] = []
  let next = from
  const post = async () => {
    while (next < to) {
      const email = `customer-${next++}@example.com`
      const answer = await api.post({ name: 'Somebody', email }).catch(() => undefined)
      if (answer?.status === 201) created.push((await answer.json()) as Customer)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, post))
  return created
}

/** The numbers from 1 to `count`. */
function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1)
}

async function all(api: Api): Promise<Customer[]> {
  const { customers } = (await (await api.get('/customers?limit=1000')).json()) as { customers: Customer[] }
  return customers
}

for (const [database, argumentsOf] of Object.entries(DATABASES)) {
  test(`${database}: numbers have no gaps with two programs at once, and events come in their order`, async t => {
    const args = await argumentsOf(t)
    if (!args) return
    const { mqttPort } = await startServer(t)
    const events = await CreateEvents.subscribe(t, mqttPort)
    const api = await startApi(t, { mqttPort, args })
    const other = await startApi(t, { mqttPort: 1, data: api.data, args }) // it publishes nothing: no queue server
    await Promise.all([postMany(api, 0, 40), postMany(other, 40, 60)])
    t.deepEqual(
      (await all(api)).map(({ number }) => number),
      numbers(60)
    )
    t.deepEqual(await (await api.get('/customers/count')).json(), { count: 60, through: 60 })
    await api.post({ name: 'Last', email: 'last@example.com' }) // and now what the other has left is seen
    t.deepEqual(
      (await events.first(61)).map(({ number }) => number),
      numbers(61)
    )
  })

  test(`${database}: a kill loses no event of a saved customer; a repeated event is the same`, async t => {
    const args = await argumentsOf(t)
    if (!args) return
    const { mqttPort } = await startServer(t)
    const events = await CreateEvents.subscribe(t, mqttPort)
    const answered: Customer[] = []
    let data: string | undefined
    for (const round of [0, 1]) {
      const api = await startApi(t, { mqttPort, args, ...(data && { data }) })
      data = api.data
      const posting = postMany(api, round * 200, (round + 1) * 200)
      await events.first(answered.length + 20)
      await api.program.kill('SIGKILL')
      answered.push(...(await posting))
    }
    const api = await startApi(t, { mqttPort, args, ...(data && { data }) })
    const saved = await all(api)
    t.deepEqual(await events.first(saved.length), saved)
    const byId = new Map(saved.map(customer => [customer.id, customer]))
    for (const customer of [...events.received, ...answered]) t.deepEqual(customer, byId.get(customer.id)!)
    t.log(`${saved.length} saved, ${answered.length} answered, ${events.received.length} events`)
  })
}

test('what was saved is announced when the queue server comes, also over a kill', async t => {
  const { mqttPort, program, dataDirectory } = await startServer(t)
  const events = await CreateEvents.subscribe(t, mqttPort)
  await program.kill('SIGKILL')
  const lonely = await startApi(t, { mqttPort })
  const created = await postMany(lonely, 0, 5)
  t.is(created.length, 5)
  await lonely.program.kill('SIGKILL')
  await startServer(t, { dataDirectory, args: ['--mqtt-port', String(mqttPort)] })
  const api = await startApi(t, { mqttPort, data: lonely.data })
  t.deepEqual(await events.first(5), await all(api))
})

test('a stop answers what was asked and loses nothing', async t => {
  const args = await DATABASES.MongoDB!(t) // a write to it takes a while
  if (!args) return
  const { mqttPort } = await startServer(t)
  const events = await CreateEvents.subscribe(t, mqttPort)
  const api = await startApi(t, { mqttPort, args })
  const posting = postMany(api, 0, 400)
  await events.first(10)
  t.deepEqual(await api.program.kill('SIGTERM'), { code: 0, signal: null })
  const answered = await posting
  const after = await startApi(t, { mqttPort, data: api.data, args })
  const saved = await all(after)
  t.is(saved.length, answered.length) // none was saved and not answered
  t.deepEqual(await events.first(saved.length), saved)
})

test('MongoDB that is away is told to who asks, and used again when it is back', async t => {
  const mongodb = await startMongodb(t)
  if (!mongodb) return
  if (process.env.MONGODB_URL) {
    t.pass('it is not ours to stop')
    return
  }
  const api = await startApi(t, { mqttPort: 1, args: ['--mongodb-url', mongodb.url] })
  const customer = { name: 'Ann', email: 'ann@example.com' }
  await mongodb.stop()
  const refused = await api.post(customer)
  t.is(refused.status, 503)
  t.truthy(refused.headers.get('retry-after'))
  await mongodb.restart()
  t.is((await api.post(customer)).status, 201)
  t.deepEqual(await (await api.get('/customers/count')).json(), { count: 1, through: 1 })
})
