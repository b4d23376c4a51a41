import test, { type ExecutionContext } from 'ava'
import { connectAsync } from 'mqtt'
import { runCommand, startServer } from './helpers/process.ts'

/** A server with a durable session `logger` that is away and has three messages to get. */
async function startWorld(t: ExecutionContext) {
  const { mqttPort, httpPort } = await startServer(t, { store: 'memory' })
  const env = { RESTANTE_HTTP_URL: `http://127.0.0.1:${httpPort}` }
  const restante = async (line: string) => {
    const { exit, stdout, stderr } = await runCommand(t, line.split(' '), env)
    return { code: exit?.code, stdout, stderr }
  }
  const connect = (clientId: string) =>
    connectAsync({ port: mqttPort, clientId, clean: false, reconnectPeriod: 0 })
  const logger = await connect('logger')
  await logger.subscribeAsync('DB/CREATE', { qos: 1 })
  await logger.endAsync()
  const app = await connect('app')
  t.teardown(() => app.endAsync(true))
  for (let id = 1; id <= 3; id++) await app.publishAsync('DB/CREATE', `{"id":${id}}`, { qos: 1 })
  return { restante, app, connect }
}

test('sessions, queues, subscriptions and clients of a server are shown and filtered', async t => {
  const { restante } = await startWorld(t)
  const { stdout: sessions } = await restante('sessions --away --min-backlog 3')
  t.regex(sessions, /^logger +no, \d+ s +offline +DB +1 +3 +0 +\d+ s$/m)
  t.notRegex(sessions, /^app/m)
  t.is((await restante('sessions --min-backlog 4')).stdout.split('.')[0], 'There is no such session')
  t.regex((await restante('queues DB')).stdout, /^CREATE +3 +\S+\/s +\d+ s$/m)
  t.regex((await restante('queues --sort backlog')).stdout, /^DB +CREATE \(3\) +1 +0 +3 +3 /m)
  t.regex((await restante('subscriptions --matches DB/CREATE')).stdout, /^logger +DB +CREATE/m)
  t.regex((await restante('clients --durable')).stdout, /^app +127\.0\.0\.1:\d+ +tcp +3\.1\.1 +durable/m)
  t.regex((await restante('clients app')).stdout, /^received +3 messages/m)
})

test('messages are shown: kept ones, those of a session, one of them whole', async t => {
  const { restante } = await startWorld(t)
  const kept = (await restante('messages --queue DB')).stdout.split('\n')
  t.regex(kept[0] ?? '', /^ID +AGE +TOPIC +QOS +PUBLISHER +SIZE +PAYLOAD$/)
  t.regex(kept[1] ?? '', /^\S+:3 +\d+ s +DB\/CREATE +1 +app +8 B +\{"id":3\}$/)
  t.is((await restante('messages --topic OTHER/#')).stdout, 'No such message is kept.\n')
  const owed = (await restante('messages logger')).stdout.split('\n')
  t.regex(owed[1] ?? '', /^queued +\S+:1 +\d+ s +DB\/CREATE +1 +app +8 B +\{"id":1\}$/)
  const { messages } = JSON.parse((await restante('messages --json --limit 1')).stdout)
  const { id } = messages[0]
  t.regex((await restante(`message ${id}`)).stdout, /^publisher +app$[\s\S]+\{"id":3\}\n$/m)
  t.is((await restante(`message ${id} --raw`)).stdout, '{"id":3}')
  const missing = await restante('message nowhere:1')
  t.deepEqual([missing.code, missing.stdout], [1, ''])
})

test('a session is attached, detached, purged and ended from outside', async t => {
  const { restante, app, connect } = await startWorld(t)
  const attached = await restante('attach logger MAIL/# DB/# --qos 2')
  t.deepEqual([attached.code, attached.stdout], [0, 'attached logger to MAIL/# (QoS 2), DB/# (QoS 2)\n'])
  await app.publishAsync('MAIL/new', 'x', { qos: 1 })
  t.regex((await restante('sessions logger')).stdout, /^backlog +4$/m)
  t.is((await restante('detach logger DB/#')).stdout, 'detached logger from DB/#\n')
  const again = await restante('detach logger DB/#')
  t.is(again.code, 1)
  t.regex(again.stderr, /there is no subscription/)
  t.is((await restante('purge logger --yes')).stdout, 'purged logger; 4 messages dropped\n')
  t.regex((await restante('sessions logger')).stdout, /^backlog +0$/m)
  await app.publishAsync('MAIL/new', 'x', { qos: 1 })
  t.is((await restante('end logger --yes')).stdout, 'ended logger; 1 message dropped\n')
  t.is((await restante('sessions logger')).code, 1)
  // what is told of it is true: it starts anew
  const back = await connect('logger')
  t.teardown(() => back.endAsync(true))
  t.regex((await restante('sessions logger')).stdout, /It has no subscription/)
})

test('a client is disconnected from outside, and its session stays', async t => {
  const { restante, connect } = await startWorld(t)
  const dashboard = await connect('dashboard')
  const closed = new Promise<void>(resolve => dashboard.once('close', () => resolve()))
  const { code, stdout } = await restante('disconnect dashboard')
  t.deepEqual([code, stdout], [0, 'disconnected dashboard\n'])
  await closed
  t.regex((await restante('sessions dashboard')).stdout, /^connected +no/m)
  t.is((await restante('disconnect dashboard')).code, 1)
})
