import test from 'ava'
import { type Control, QueueError, type SubscribedFilter } from '../../src/plugin.ts'
import { FakeDirectory, mountPlugin } from '../../test/helpers/http-directory.ts'
import { introspection } from './index.ts'

/** A control that notes what it was asked; of what it knows nothing is QUEUE_NOT_FOUND. */
class FakeControl implements Control {
  readonly calls: unknown[][] = []
  readonly known = new Set(['logger', 'a/b'])
  refused = new Set<string>()

  disconnect(clientId: string): void {
    this.#note('disconnect', clientId)
  }
  async endSession(clientId: string): Promise<number> {
    this.#note('endSession', clientId)
    return 7
  }
  async subscribe(clientId: string, wanted: readonly SubscribedFilter[]): Promise<SubscribedFilter[]> {
    this.#note('subscribe', clientId, wanted)
    return wanted.filter(({ filter }) => !this.refused.has(filter))
  }
  async unsubscribe(clientId: string, filters: readonly string[]): Promise<boolean[]> {
    this.#note('unsubscribe', clientId, filters)
    return filters.map(filter => filter === 'DB/#')
  }
  async purge(clientId: string): Promise<number> {
    this.#note('purge', clientId)
    return 3
  }

  #note(method: string, clientId: string, ...rest: unknown[]): void {
    if (!this.known.has(clientId)) {
      throw new QueueError('QUEUE_NOT_FOUND', { detail: { kind: 'session', name: clientId } })
    }
    this.calls.push([method, clientId, ...rest])
  }
}

async function start() {
  const control = new FakeControl()
  const app = await mountPlugin(introspection, new FakeDirectory(), { control })
  const ask = async (method: 'DELETE' | 'POST', url: string, payload?: object) => {
    const response = await app.inject({ method, url, ...(payload ? { payload } : {}) })
    return { status: response.statusCode, body: response.body === '' ? null : response.json() }
  }
  return { control, ask }
}

test('a client is disconnected, a session ended and purged, each by its id', async t => {
  const { control, ask } = await start()
  t.deepEqual(await ask('DELETE', '/v1/clients/a%2Fb'), { status: 204, body: null })
  t.deepEqual(await ask('DELETE', '/v1/sessions/logger'), { status: 200, body: { dropped: 7 } })
  t.deepEqual(await ask('DELETE', '/v1/sessions/logger/messages'), { status: 200, body: { dropped: 3 } })
  t.deepEqual(control.calls, [
    ['disconnect', 'a/b'],
    ['endSession', 'logger'],
    ['purge', 'logger']
  ])
})

test('what is done to a session that is not there is QUEUE_NOT_FOUND', async t => {
  const { ask } = await start()
  for (const path of [
    'clients/x',
    'sessions/x',
    'sessions/x/messages',
    'sessions/x/subscriptions?filter=a'
  ]) {
    t.is((await ask('DELETE', `/v1/${path}`)).status, 404, path)
  }
  t.is((await ask('POST', '/v1/sessions/x/subscriptions', { subscriptions: [{ filter: 'a' }] })).status, 404)
})

test('a session is subscribed with QoS 1 unless told otherwise, and told what was granted', async t => {
  const { control, ask } = await start()
  control.refused.add('SECRET/#')
  const subscriptions = [{ filter: 'DB/#' }, { filter: 'MAIL/+', qos: 2 }, { filter: 'SECRET/#' }]
  t.deepEqual(await ask('POST', '/v1/sessions/logger/subscriptions', { subscriptions }), {
    status: 200,
    body: {
      subscriptions: [
        { filter: 'DB/#', qos: 1 },
        { filter: 'MAIL/+', qos: 2 }
      ],
      refused: ['SECRET/#']
    }
  })
  const all = await ask('POST', '/v1/sessions/logger/subscriptions', {
    subscriptions: [{ filter: 'SECRET/#' }]
  })
  t.is(all.status, 403)
})

test('of a filter that is named twice the last one counts', async t => {
  const { control, ask } = await start()
  const subscriptions = [
    { filter: 'DB/#', qos: 2 },
    { filter: 'DB/#', qos: 0 }
  ]
  await ask('POST', '/v1/sessions/logger/subscriptions', { subscriptions })
  t.deepEqual(control.calls, [['subscribe', 'logger', [{ filter: 'DB/#', qos: 0 }]]])
})

test('subscribing with a bad filter, QoS or body is refused and nothing is done', async t => {
  const { control, ask } = await start()
  const bodies: readonly object[] = [
    {},
    { subscriptions: [] },
    { subscriptions: [{ qos: 1 }] },
    { subscriptions: [{ filter: '' }] },
    { subscriptions: [{ filter: 'a/#/b' }] },
    { subscriptions: [{ filter: 'a', qos: 3 }] },
    { subscriptions: [{ filter: 'a', nolocal: true }] },
    { subscriptions: [{ filter: 'a' }], x: 1 }
  ]
  for (const body of bodies) {
    t.is((await ask('POST', '/v1/sessions/logger/subscriptions', body)).status, 400, JSON.stringify(body))
  }
  t.deepEqual(control.calls, [])
})

test('a subscription is taken out by its filter', async t => {
  const { control, ask } = await start()
  const url = '/v1/sessions/logger/subscriptions'
  t.deepEqual(await ask('DELETE', `${url}?filter=DB%2F%23`), { status: 204, body: null })
  t.deepEqual(control.calls, [['unsubscribe', 'logger', ['DB/#']]])
  t.is((await ask('DELETE', `${url}?filter=other`)).status, 404)
  for (const query of ['', '?filter=', '?filter=a%23', '?filters=a']) {
    t.is((await ask('DELETE', `${url}${query}`)).status, 400, query)
  }
})
