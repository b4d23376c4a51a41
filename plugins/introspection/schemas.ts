import type { FastifySchema } from 'fastify'
import type { Order } from './cursor.ts'
import type { SortKey } from './page.ts'

/** JSON Schema of a time. */
export const timeSchema = { type: 'string', format: 'date-time' } as const
/** JSON Schema of a time that may be unknown, or not have come. */
export const nullableTimeSchema = { type: ['string', 'null'], format: 'date-time' } as const
/** JSON Schema of a count. */
export const countSchema = { type: 'integer', minimum: 0 } as const
/** JSON Schema of a rate. */
export const rateSchema = {
  type: 'number',
  minimum: 0,
  description: 'Messages per second, over the last minute.'
} as const
/** JSON Schema of a QoS. */
export const qosSchema = { type: 'integer', minimum: 0, maximum: 2 } as const
/** JSON Schema of a list of queues. */
export const queuesSchema = {
  type: 'array',
  items: { type: 'string' },
  description: 'First levels of its filters; + and # stand for themselves.'
} as const

/** JSON Schema of an object all of whose properties are always there. */
export function objectSchema<Properties extends Record<string, object>>(properties: Properties) {
  return { type: 'object', required: Object.keys(properties), properties } as const
}

/** JSON Schema of a page of a list: the rows under the list's name, and the next cursor. */
export function pageSchema(name: string, row: object) {
  return withIncomplete(
    objectSchema({
      [name]: { type: 'array', items: row },
      next: { type: ['string', 'null'], description: '`cursor` of the next page; null at the end.' }
    })
  )
}

/** The same object, which may say what is missing in it. */
export function withIncomplete<Schema extends { readonly properties: object }>(schema: Schema) {
  return { ...schema, properties: { ...schema.properties, incomplete: incompleteSchema } }
}

const incompleteSchema = {
  type: 'array',
  items: { type: 'string' },
  description: 'Only there when brokers have not answered: their names. What they have is missing.'
} as const

/** JSON Schema of the broker that has something. */
export const brokerSchema = {
  type: ['string', 'null'],
  description: 'Name of the broker that has it; null: the server is alone on its store.'
} as const

/**
 * The same object, with null allowed for each property but those named: for a broker of which not everything can be known.
 * @param schema made by {@link objectSchema}.
 */
export function partialSchema(
  schema: { readonly properties: Readonly<Record<string, object>> },
  known: readonly string[]
) {
  const entries = Object.entries(schema.properties).map(([name, property]) => {
    const { type, ...rest } = property as { type: string | readonly string[]; enum?: readonly unknown[] }
    if (known.includes(name)) return [name, property]
    const values = rest.enum ? { enum: [...rest.enum, null] } : {}
    return [name, { ...rest, ...values, type: [...new Set([type, 'null'].flat())] }]
  })
  return { ...schema, properties: Object.fromEntries(entries) as Record<string, object> }
}

const problemSchema = objectSchema({
  type: { type: 'string' },
  title: { type: 'string' },
  status: { type: 'integer' },
  detail: { type: 'string', description: 'What went wrong, in words.' },
  code: { type: 'string', description: 'Which failure it was, for programs.' },
  instance: { type: 'string', description: 'The path that was asked for.' }
})

const PROBLEMS = {
  400: 'The request is not valid.',
  403: 'A hook has refused it.',
  404: 'There is no such thing.',
  503: 'The store has failed, the server is stopping, or another broker does not answer.',
  507: 'The store is full.'
} as const

/** A status of a failed request. */
export type ProblemStatus = keyof typeof PROBLEMS

/** Responses with problem details, for the schema of a route. @see RFC 9457 */
export function problems(...statuses: readonly ProblemStatus[]): Readonly<Record<number, object>> {
  const content = { 'application/problem+json': { schema: problemSchema } }
  return Object.fromEntries(statuses.map(status => [status, { description: PROBLEMS[status], content }]))
}

/** What is said of a route besides its shapes. */
export interface RouteText {
  readonly tag: string
  readonly operationId: string
  readonly summary: string
  readonly description?: string
}

/** The schema of a route: its texts, and its shapes. */
export function routeSchema({ tag, ...text }: RouteText, shapes: FastifySchema): FastifySchema {
  return { ...text, tags: [tag], ...shapes } as FastifySchema
}

/** JSON Schema of the parameters in a path. */
export function pathSchema(name: string, description: string) {
  return objectSchema({ [name]: { type: 'string', description } })
}

const CURSOR = {
  limit: {
    type: 'integer',
    minimum: 1,
    maximum: 1_000,
    default: 100,
    description: 'Most entries of the answer; it may have fewer although there are more.'
  },
  cursor: {
    type: 'string',
    minLength: 1,
    description: '`next` of the page before; without it the list begins at its start.'
  }
} as const

/** JSON Schema of the query of a list with these filters. */
export function cursorQuerySchema(filters: Readonly<Record<string, object>> = {}) {
  return { type: 'object', additionalProperties: false, properties: { ...CURSOR, ...filters } } as const
}

/** JSON Schema of the query of a list that can be sorted. */
export function listQuerySchema<Item>(
  idName: string,
  sorts: Readonly<Record<string, SortKey<Item>>>,
  filters: Readonly<Record<string, object>> = {}
) {
  const names = [idName, ...Object.keys(sorts)]
  const order: readonly Order[] = ['asc', 'desc']
  const falling = Object.keys(sorts).filter(name => sorts[name]?.order === 'desc')
  const isDescending =
    falling.length === 0 ? '' : ` By default desc for ${falling.join(', ')}, asc otherwise.`
  return cursorQuerySchema({
    sort: { type: 'string', enum: names, default: idName, description: 'What the list is sorted by.' },
    order: { type: 'string', enum: order, description: `Direction of the sorting.${isDescending}` },
    ...filters
  })
}
