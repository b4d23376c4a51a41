import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { runCommand } from './helpers/cli-process.ts'

const broker = {
  ...{ broker: 'b1', lane: 0, state: 'live', self: true, heartbeatAgeMs: 120, headSequence: 30 },
  ...{
    followedSequence: 30,
    lag: 0,
    startedAt: new Date().toISOString(),
    host: 'one.example',
    version: '1.2.3'
  }
}
const other = {
  ...{ ...broker, broker: 'b2', lane: 1, state: 'silent', self: false, heartbeatAgeMs: 2_100 },
  ...{ headSequence: 2 ** 40 + 9, followedSequence: 2 ** 40 + 4, lag: 5 }
}
const dead = { ...other, broker: 'b3', state: 'dead', host: '' }
const session = {
  ...{
    id: 'logger',
    connected: false,
    persistent: true,
    state: 'offline',
    queues: [],
    backlog: 0,
    inflight: 0
  },
  ...{
    oldestAt: null,
    oldestAgeMs: null,
    createdAt: broker.startedAt,
    connectedAt: null,
    disconnectedAt: null
  },
  ...{ lastActivityAt: null, expirySeconds: null, expiresAt: null, subscriptions: [] }
}

test('brokers are shown as a table', async t => {
  const base = await startFake(t, { brokers: [broker, other, dead], next: null })
  const { code, stdout } = await runCommand(t, ['brokers', '--http', base])
  t.is(code, 0)
  const [head, ...lines] = stdout.split('\n')
  t.regex(head ?? '', /^BROKER +LANE +STATE +HEARTBEAT +NEWEST +LAG +UP +HOST +VERSION$/)
  t.regex(lines[0] ?? '', /^b1 \(this one\) +0 +live +120 ms +30 +0 +\d+ s +one\.example +1\.2\.3$/)
  t.regex(lines[1] ?? '', /^b2 +1 +silent +2 s +1099511627785 +5 +\d+ s +one\.example +1\.2\.3$/)
  t.regex(lines[2] ?? '', /^b3 +1 +dead +- +1099511627785 +5 +- +- +1\.2\.3$/)
})

test('brokers are printed as JSON, and a server that is alone says so', async t => {
  const base = await startFake(t, { brokers: [broker], next: null })
  const { stdout } = await runCommand(t, ['brokers', '--json', '--http', base])
  t.deepEqual(JSON.parse(stdout), { brokers: [broker], next: null })
  const alone = await startFake(t, { brokers: [], next: null })
  t.regex((await runCommand(t, ['brokers', '--http', alone])).stdout, /^This server is alone on its store/)
})

test('a list says which broker has what, and whose part is missing', async t => {
  const page = { sessions: [{ ...session, broker: 'b1' }], next: null, incomplete: ['b2', 'b3'] }
  const base = await startFake(t, page)
  const { stdout } = await runCommand(t, ['sessions', '--http', base])
  t.regex(stdout, /^SESSION +BROKER +CONNECTED/)
  t.regex(stdout, /^logger +b1 +no/m)
  t.regex(stdout, /\n… and what b2, b3 has: no answer in time\n$/)
  const { stdout: json } = await runCommand(t, ['sessions', '--json', '--http', base])
  t.deepEqual(JSON.parse(json), page)
})

test('a server that is alone has no column for brokers', async t => {
  const base = await startFake(t, { sessions: [{ ...session, broker: null }], next: null })
  t.regex((await runCommand(t, ['sessions', '--http', base])).stdout, /^SESSION +CONNECTED/)
})

/** A server that answers everything with this. */
async function startFake(t: ExecutionContext, body: object): Promise<string> {
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify(body))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
