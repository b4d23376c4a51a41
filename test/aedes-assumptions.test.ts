import { Aedes, type Client } from 'aedes'
import test from 'ava'
import { event, openClient, startAedes } from './helpers/aedes.ts'
import { publishInside } from './helpers/aedes-server.ts'

/* What src/broker takes for granted of Aedes when it lays something over it, asked of Aedes alone. */

const HOOKS = [
  'preConnect',
  'authenticate',
  'authorizePublish',
  'authorizeSubscribe',
  'authorizeForward',
  'published'
] as const

test('hooks that nobody has set are the same functions in every Aedes, and one that is made and not used needs no end', t => {
  const [one, two] = [new Aedes(), new Aedes()]
  for (const hook of HOOKS) t.is(one[hook], two[hook], hook)
})

test('Aedes reads a hook at each call, so that an accessor may stand in its place', async t => {
  const aedes = await startAedes(t)
  const asked: string[] = []
  for (const hook of HOOKS) {
    const standard = aedes[hook] as (...args: unknown[]) => unknown
    Object.defineProperty(aedes, hook, {
      get: () => {
        asked.push(hook)
        return standard
      }
    })
  }
  const client = openClient(t, aedes.handle)
  await client.login({ clientId: 'a' })
  await client.subscribe('a')
  await client.publish({ topic: 'a', qos: 1 })
  await client.messages(1)
  for (const hook of HOOKS) t.true(asked.includes(hook), hook)
})

test('Aedes tells its events through a property, in the order client, connackSent, clientReady', async t => {
  const aedes = await startAedes(t)
  const told: string[] = []
  const emit = aedes.emit.bind(aedes)
  aedes.emit = ((name: string, ...args: unknown[]) => {
    told.push(name)
    return emit(name as 'closed', ...(args as []))
  }) as never
  const ready = event(aedes, 'clientReady')
  await openClient(t, aedes.handle).login({ clientId: 'a' })
  await ready
  const order = ['client', 'connackSent', 'clientReady']
  t.deepEqual(
    told.filter(name => order.includes(name)),
    order
  )
})

test('Aedes asks whatever persistence stands in its property: at a retained publish, and at a CONNECT', async t => {
  const aedes = await startAedes(t)
  const asked: string[] = []
  const members = aedes as unknown as { persistence: object }
  const before = members.persistence as Record<string, (...args: unknown[]) => unknown>
  members.persistence = new Proxy(before, {
    get: (target, name: string) => {
      asked.push(name)
      return typeof target[name] === 'function' ? target[name].bind(target) : target[name]
    }
  })
  await publishInside(aedes, { qos: 1, retain: true })
  t.deepEqual(asked.splice(0), ['storeRetained', 'subscriptionsByTopic', 'outgoingEnqueueCombi'])
  const ready = event(aedes, 'clientReady')
  await openClient(t, aedes.handle).login({ clientId: 'a' })
  await ready
  t.deepEqual(asked, ['cleanSubscriptions', 'delWill', 'outgoingStream'])
})

test('when a client goes, Aedes looks for its will and its subscriptions when it is closed, and then at its expiry', async t => {
  const aedes = await startAedes(t)
  const looked: string[] = []
  const members = aedes as unknown as { scheduleSessionExpiry(client: Client): void }
  members.scheduleSessionExpiry = client => looked.push(`expiry of ${client.id}`)
  const ready = event(aedes, 'clientReady')
  const raw = openClient(t, aedes.handle)
  await raw.login({ clientId: 'a', protocolVersion: 5 })
  const [client] = (await ready) as [Client]
  for (const name of ['will', 'subscriptions'] as const) {
    const value = name === 'will' ? null : {}
    Object.defineProperty(client, name, {
      get: () => {
        looked.push(`${name} when closed ${client.closed}`)
        return value
      },
      set: () => {}
    })
  }
  const gone = event(aedes, 'clientDisconnect')
  raw.destroy()
  await gone
  t.deepEqual([...new Set(looked)].sort(), [
    'expiry of a',
    'subscriptions when closed true',
    'will when closed true'
  ])
})

test('an Aedes that says that it is closed does not close again, and one that is told otherwise does', async t => {
  const aedes = await startAedes(t)
  const members = aedes as unknown as { closed: boolean }
  const closed: string[] = []
  aedes.on('closed', () => closed.push('closed'))
  const close = () => new Promise<void>(resolve => aedes.close(resolve))
  members.closed = true
  await close()
  t.deepEqual(closed, [])
  members.closed = false
  await close()
  t.deepEqual(closed, ['closed'])
})
