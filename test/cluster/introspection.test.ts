import { request } from 'node:http'
import test from 'ava'
import { runCommand } from '../helpers/cli-process.ts'
import { Cluster, type ClusterBroker } from '../helpers/cluster.ts'
import { RawClient } from '../helpers/raw-client.ts'

type Row = Readonly<Record<string, unknown>>

async function list(broker: ClusterBroker, name: string, query = ''): Promise<Row[]> {
  const { body } = await answerTo(broker, 'GET', `${name}${query}`)
  return body[name] as Row[]
}

async function ask(broker: ClusterBroker, method: string, path: string): Promise<number> {
  return (await answerTo(broker, method, path)).status
}

/** Over a connection of its own: one that is kept would be open when its broker is killed. */
function answerTo(
  { server }: ClusterBroker,
  method: string,
  path: string
): Promise<{ readonly status: number; readonly body: Row }> {
  return new Promise((resolve, reject) => {
    const to = { host: '127.0.0.1', port: server.httpPort, method, path: `/v1/${path}`, agent: false }
    const asked = request(to, answer => {
      let text = ''
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      answer.on('end', () => {
        resolve({ status: answer.statusCode ?? 0, body: text === '' ? {} : (JSON.parse(text) as Row) })
      })
    })
    asked.on('error', reject).end()
  })
}

for (const hasRedis of [true, false]) {
  test(`every broker shows and steers all of them, ${hasRedis ? 'with' : 'without'} a Redis`, async t => {
    const cluster = await Cluster.start(t, { brokers: 2, hasRedis, brokerTimeoutMs: 5_000 })
    if (!cluster) return
    const [b1, b2] = cluster.brokers as [ClusterBroker, ClusterBroker]
    const clients = []
    for (const [i, { mqttPort }] of cluster.brokers.entries()) {
      const client = await RawClient.connect(mqttPort, { clientId: `client-${i + 1}`, clean: false })
      await client.subscribe('DB/#')
      clients.push(client)
    }
    await clients[0]!.publish({ topic: 'DB/CREATE', payload: 'x', qos: 1 })
    for (const client of clients) t.is((await client.messages(1))[0]?.topic, 'DB/CREATE')

    for (const broker of cluster.brokers) {
      const brief = ({ id, broker }: Row) => [id, broker]
      const wanted = [
        ['client-1', 'b1'],
        ['client-2', 'b2']
      ]
      t.deepEqual((await list(broker, 'clients')).map(brief), wanted)
      t.deepEqual((await list(broker, 'sessions', '?limit=1')).map(brief), wanted.slice(0, 1))
      t.like((await list(broker, 'queues'))[0], { queue: 'DB', attached: 2, connected: 2, accepted: 1 })
      const states = (await list(broker, 'brokers')).map(({ broker, state }) => [broker, state])
      t.deepEqual(states, [
        ['b1', 'live'],
        ['b2', 'live']
      ])
    }
    const { stdout } = await runCommand(t, ['brokers', '--http', `http://127.0.0.1:${b1.server.httpPort}`])
    t.regex(stdout, /^b1 \(this one\) +\d+ +live/m)

    t.is(await ask(b1, 'DELETE', 'clients/client-2'), 204)
    await clients[1]!.closed()
    t.is(await ask(b1, 'DELETE', 'sessions/client-2'), 200)
    t.is(await ask(b2, 'GET', 'sessions/client-2'), 404)

    b2.pause()
    t.like((await answerTo(b1, 'GET', 'sessions')).body, { incomplete: ['b2'] })
    t.is(await ask(b1, 'GET', 'sessions/client-3'), 503)
    b2.resume()
  })
}
