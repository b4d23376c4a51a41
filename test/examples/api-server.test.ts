import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { createApi } from '../../examples/api-server/server.ts'
import { SqliteStore } from '../../examples/api-server/sqlite-store.ts'
import { addUser, RIGHTS, type Right, Users } from '../../examples/api-server/users.ts'
import type { Customer } from '../../examples/shared/customer.ts'
import { startProgram, startServer, testFolder } from '../helpers/process.ts'
import { API_SERVER, CreateEvents, startApi } from './api-server-scene.ts'

/** What a refusal looks like to a program. @see RFC 9457 */
interface ProblemBody {
  readonly status: number
  readonly errors?: readonly { readonly pointer: string; readonly detail: string }[]
}

/** What a test asks with. */
interface Ask {
  readonly token?: string
  readonly type?: string
}

/** The API in this process, without a queue server. */
async function openApi(t: ExecutionContext) {
  const folder = testFolder(t)
  const usersFile = join(folder, 'users.json')
  const admin = addUser(usersFile, 'ann', RIGHTS)
  const store = new SqliteStore(join(folder, 'customers.db'))
  const app = createApi({ store, users: new Users(usersFile), onSaved: () => {} })
  t.teardown(async () => {
    await app.close()
    await store.close()
  })
  const headers = (token: string) => ({ authorization: `Bearer ${token}` })
  return {
    app,
    addUser: (name: string, ...rights: readonly Right[]) => addUser(usersFile, name, rights),
    get: (url: string, { token = admin }: Ask = {}) => app.inject({ url, headers: headers(token) }),
    post: (body: unknown, { token = admin, type = 'application/json' }: Ask = {}) => {
      const payload = typeof body === 'string' ? body : JSON.stringify(body)
      const all = { ...headers(token), 'content-type': type }
      return app.inject({ method: 'POST', url: '/customers', headers: all, payload })
    }
  }
}

test('created customer is answered with its place, can be read, and is announced', async t => {
  const { mqttPort } = await startServer(t)
  const events = await CreateEvents.subscribe(t, mqttPort)
  const api = await startApi(t, { mqttPort })
  const answer = await api.post({ name: 'Ann Miller', email: 'ann@example.com' })
  const customer = (await answer.json()) as Customer
  t.is(answer.status, 201)
  t.is(answer.headers.get('location'), `/customers/${customer.id}`)
  t.like(customer, { number: 1, name: 'Ann Miller', email: 'ann@example.com', createdBy: 'ann' })
  t.true(Math.abs(Date.parse(customer.createdAt) - Date.now()) < 60_000)
  t.deepEqual(await (await api.get(`/customers/${customer.id}`)).json(), customer)
  t.deepEqual(await events.first(1), [customer])
})

test('customer is saved in a normal form', async t => {
  const api = await openApi(t)
  const answer = await api.post({
    name: '  Zoe\u0308 \t van\u00a0 Dam\n',
    email: ' Zoe.Van.Dam@Example.COM '
  })
  t.like(answer.json(), { name: 'Zo\u00eb van Dam', email: 'zoe.van.dam@example.com' })
})

const WRONG: readonly (readonly [body: unknown, pointers: readonly string[]])[] = [
  [{}, ['/name', '/email']],
  [{ name: ' \t ', email: 'ann@example.com' }, ['/name']],
  [{ name: 'x'.repeat(201), email: 'ann@example.com' }, ['/name']],
  [{ name: 'a\u0000b', email: 'ann@example.com' }, ['/name']],
  [{ name: '\ud800', email: 'ann@example.com' }, ['/name']],
  [{ name: 'Ann', email: 'ann' }, ['/email']],
  [{ name: 'Ann', email: 7 }, ['/email']],
  [{ name: 'Ann', email: 'ann@example.com', 'is/admin': true }, ['/is~1admin']],
  [['Ann'], ['']],
  [null, ['']]
]

test('customer that is not as it must be is refused with each wrong field, and nothing is saved', async t => {
  const api = await openApi(t)
  for (const [body, pointers] of WRONG) {
    const answer = await api.post(body)
    const problem = answer.json() as ProblemBody
    t.is(answer.statusCode, 422, JSON.stringify(body))
    t.is(answer.headers['content-type']?.toString().split(';')[0], 'application/problem+json')
    t.deepEqual(
      problem.errors?.map(({ pointer }) => pointer),
      pointers,
      JSON.stringify(body)
    )
  }
  t.deepEqual((await api.get('/customers/count')).json(), { count: 0, through: 0 })
})

test('body that is no JSON and path that does not exist are refused as problems', async t => {
  const api = await openApi(t)
  const answers = [
    [await api.post('{'), 400],
    [await api.post('Ann', { type: 'text/csv' }), 415],
    [await api.post({ name: 'x'.repeat(20_000) }), 413],
    [await api.get('/nothing'), 404],
    [await api.get('/customers/nobody'), 404],
    [await api.get('/customers?limit=0'), 400]
  ] as const
  for (const [answer, status] of answers) {
    t.is(answer.statusCode, status)
    t.like(answer.json(), { status, type: 'about:blank' })
  }
})

test('second customer with the same e-mail address is refused, however it is written', async t => {
  const api = await openApi(t)
  await api.post({ name: 'Ann', email: 'ann@example.com' })
  const answer = await api.post({ name: 'Anna', email: ' ANN@example.com' })
  t.is(answer.statusCode, 409)
  t.like(answer.json(), { errors: [{ pointer: '/email' }] })
  t.like((await api.post({ name: 'Bob', email: 'bob@example.com' })).json(), { number: 2 })
})

test('users do what they have the right to, also those who are added while it runs', async t => {
  const api = await openApi(t)
  const ann = { name: 'Ann', email: 'ann@example.com' }
  const stranger = await api.app.inject('/customers')
  t.is(stranger.statusCode, 401)
  t.is(stranger.headers['www-authenticate'], 'Bearer realm="customers"')
  const unknown = await api.post(ann, { token: 'unknown' })
  t.is(unknown.statusCode, 401)
  t.regex(String(unknown.headers['www-authenticate']), /error="invalid_token"/)

  const reader = api.addUser('rita', 'customers:read')
  const refused = await api.post(ann, { token: reader })
  t.is(refused.statusCode, 403)
  t.regex(String(refused.headers['www-authenticate']), /error="insufficient_scope", scope="customers:create"/)
  t.is((await api.get('/customers', { token: reader })).statusCode, 200)

  const writer = api.addUser('walt', 'customers:create')
  t.like((await api.post(ann, { token: writer })).json(), { createdBy: 'walt' })
  for (const path of ['/customers', '/customers/count', '/customers/1']) {
    t.is((await api.get(path, { token: writer })).statusCode, 403, path)
  }
})

test('list comes in pages, in order of the numbers', async t => {
  const api = await openApi(t)
  for (const name of ['a', 'b', 'c']) await api.post({ name, email: `${name}@example.com` })
  const first = (await api.get('/customers?limit=2')).json() as {
    customers: Customer[]
    next: number
  }
  t.deepEqual(
    first.customers.map(({ name }) => name),
    ['a', 'b']
  )
  const last = (await api.get(`/customers?limit=2&after=${first.next}`)).json() as typeof first
  t.deepEqual([last.customers.map(({ name }) => name), last.next], [['c'], null])
})

test('without users it says how to add one', async t => {
  const program = startProgram(t, process.execPath, [API_SERVER, '--data', testFolder(t)])
  t.is((await program.exited()).code, 2)
  t.regex(program.stderr, /api-server add-user NAME/)
})

test('command add-user lets somebody in, with the token of a file when there is one', async t => {
  const data = join(testFolder(t), 'data')
  const tokenFile = join(data, 'rita.token')
  const run = async () => {
    const words = [
      'add-user',
      'rita',
      '--rights',
      'customers:read',
      '--data',
      data,
      '--token-file',
      tokenFile
    ]
    const program = startProgram(t, process.execPath, [API_SERVER, ...words])
    t.is((await program.exited()).code, 0, program.story())
    t.is(program.stdout, '')
    return readFileSync(tokenFile, 'utf8').trim()
  }
  const token = await run()
  t.is(await run(), token)
  const users = new Users(join(data, 'users.json'))
  t.like(users.find(token), { name: 'rita', rights: ['customers:read'] })
  t.is(users.find(''), undefined)
  t.false(readFileSync(join(data, 'users.json'), 'utf8').includes(token))
})
