import { randomUUID } from 'node:crypto'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { answerProblems, Problem } from '../shared/problem.ts'
import { customerInput } from './customer-input.ts'
import { type CustomerStore, EmailTakenError, StoreUnavailableError } from './store.ts'
import type { Right, User, Users } from './users.ts'

/** What the API stands on. */
export interface ServerParts {
  readonly store: CustomerStore
  readonly users: Users
  /** Called when an event has become pending. */
  readonly onSaved: () => void
}

const PAGE = {
  querystring: {
    type: 'object',
    properties: {
      after: { type: 'integer', minimum: 0, default: 0 },
      limit: { type: 'integer', minimum: 1, maximum: 1_000, default: 100 }
    }
  }
}

/** The API: customers by `/customers`, for users with rights. */
export function createApi({ store, users, onSaved }: ServerParts): FastifyInstance {
  const app = Fastify({ forceCloseConnections: 'idle', bodyLimit: 16_384 })
  answerProblems(app)

  app.get('/health', async () => ({ status: 'ok', pending: (await available(store.pending(1))).length > 0 }))

  app.post('/customers', async (request, reply) => {
    const user = authorized(request, users, 'customers:create')
    const input = customerInput(request.body)
    const customer = { id: randomUUID(), ...input, createdBy: user.name, createdAt: new Date().toISOString() }
    const saved = await available(store.add(customer))
    onSaved()
    return reply.code(201).header('location', `/customers/${saved.id}`).send(saved)
  })

  app.get<{ Querystring: { after: number; limit: number } }>(
    '/customers',
    { schema: PAGE },
    async request => {
      authorized(request, users, 'customers:read')
      const { after, limit } = request.query
      const customers = await available(store.list(after, limit))
      const last = customers.at(-1)
      return { customers, next: customers.length === limit && last ? last.number : null }
    }
  )

  app.get('/customers/count', async request => {
    authorized(request, users, 'customers:read')
    return await available(store.count())
  })

  app.get<{ Params: { id: string } }>('/customers/:id', async request => {
    authorized(request, users, 'customers:read')
    const customer = await available(store.get(request.params.id))
    if (!customer) throw new Problem(404, `there is no customer ${request.params.id}`)
    return customer
  })

  return app
}

/** The user who asks. @throws Problem 401 or 403 @see RFC 6750 section 3 */
function authorized(request: FastifyRequest, users: Users, right: Right): User {
  const token = /^Bearer +([\w.~+/-]+=*) *$/i.exec(request.headers.authorization ?? '')?.[1]
  if (!token) throw challenge(401, 'a token is needed: Authorization: Bearer <token>')
  const user = users.find(token)
  if (!user) throw challenge(401, 'this token is not known', 'error="invalid_token"')
  if (user.rights.includes(right)) return user
  throw challenge(
    403,
    `${user.name} lacks the right ${right}`,
    'error="insufficient_scope"',
    `scope="${right}"`
  )
}

function challenge(status: number, detail: string, ...parameters: readonly string[]): Problem {
  const header = `Bearer ${['realm="customers"', ...parameters].join(', ')}`
  return new Problem(status, detail, { headers: { 'www-authenticate': header } })
}

/** What the store answers, its refusals as the caller is told them. @throws Problem 409 or 503 */
async function available<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof EmailTakenError) {
      const errors = [{ pointer: '/email', detail: 'belongs to another customer' }]
      throw new Problem(409, 'there is a customer with this e-mail address', { errors })
    }
    if (!(error instanceof StoreUnavailableError)) throw error
    console.error(error.message)
    throw new Problem(503, 'the database does not answer; try again', { headers: { 'retry-after': '5' } })
  }
}
