import { STATUS_CODES } from 'node:http'
import swagger from '@fastify/swagger'
import type { FastifyInstance, FastifySchema } from 'fastify'
import { ERRORS } from '../errors.ts'
import { packageVersion } from '../version.ts'
import { HTTP_STATUSES, PROBLEM_TYPE } from './problem.ts'

/** The path of the description of all routes. */
export const OPENAPI_PATH = '/openapi.json'

const INTRODUCTION = `Restante keeps messages until their subscribers have acknowledged them. Messages are sent and received over MQTT;
this is what can be seen and done over HTTP.

Every failure is answered with problem details (RFC 9457, \`${PROBLEM_TYPE}\`): \`detail\` is for people, \`code\` for
programs. Ids in paths are percent-encoded. A request that does not arrive in time or is no HTTP is answered with 408 or
400, and its connection is closed.`

/** What may be the answer to any request. */
const COMMON_PROBLEMS = {
  400: 'The request is not valid.',
  403: 'Pages of this origin may not use the server (see the setting `allowedOrigins`).',
  421: 'The server is not known by the name in the Host header (see the setting `allowedHosts`).',
  431: 'Path and headers together are too large.',
  500: 'The server failed; its log says more.'
} as const

/** What may be the answer to a request with a body, besides. */
const BODY_PROBLEMS = {
  413: 'The body is too large.',
  415: 'A body of this media type, or with this Content-Encoding, is not taken.'
} as const

const problemSchema = {
  type: 'object',
  description: 'What went wrong (RFC 9457).',
  required: ['type', 'title', 'status', 'detail', 'code', 'instance'],
  properties: {
    type: {
      type: 'string',
      enum: ['about:blank'],
      description: '`code` tells the failures of a status apart.'
    },
    title: { type: 'string', description: 'The name of the status.' },
    status: { type: 'integer', minimum: 400, maximum: 599, description: 'The status of the answer.' },
    detail: { type: 'string', description: 'What went wrong, in words.' },
    code: {
      type: 'string',
      enum: [...new Set([...Object.keys(ERRORS), ...Object.keys(HTTP_STATUSES)])].sort(),
      description: 'Which failure it was, for programs.'
    },
    instance: { type: 'string', description: 'The path that was asked for, percent-encoded.' }
  }
}

/** As much as is touched here of an OpenAPI document. @see OpenAPI 3.1.1 section 4.8 */
interface OpenApiDocument {
  tags?: { readonly name: string }[]
  readonly paths?: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

interface Operation {
  readonly summary?: string
  readonly tags?: readonly string[]
  readonly requestBody?: { required?: boolean; readonly content: Readonly<Record<string, object>> }
  responses: Record<string, Response | Reference>
}

interface Response {
  readonly description: string
  readonly content?: object
}

interface Reference {
  readonly $ref: string
}

/**
 * Describes all routes that are made after this call, in OpenAPI 3.1 at GET /openapi.json. What it says of a route is the
 * route's schema: `summary`, `tags`, `operationId`, `description` beside the shapes. Routes with `hide` are left out.
 *
 * - The `*` at the end of a path is named after the `title` of its schema in `params`.
 * - Of a response with a status from 400 on only the description counts: its shape is always that of problem details.
 * - A body for media type `*` + `/*` (any) may be left out by callers.
 */
export function describeRoutes(app: FastifyInstance): void {
  const info = { title: 'Restante', version: packageVersion(), description: INTRODUCTION }
  const components = { schemas: { Problem: problemSchema }, responses: sharedResponses() }
  app.register(swagger, {
    openapi: { openapi: '3.1.0', info, servers: [{ url: '/' }], components },
    transform: ({ schema, url }) => nameWildcard(schema, url),
    transformObject: described => {
      const document = 'openapiObject' in described ? described.openapiObject : {}
      complete(document as OpenApiDocument)
      return document
    }
  } as Parameters<typeof swagger>[1])
  app.register(async scope => {
    let text: string | undefined
    const schema = {
      ...{ tags: ['server'], operationId: 'getOpenApi', summary: 'This description, in OpenAPI 3.1' },
      response: { 200: { type: 'object', additionalProperties: true, description: 'An OpenAPI document.' } }
    }
    scope.get(OPENAPI_PATH, { schema }, async (_request, reply) => {
      text ??= JSON.stringify(scope.swagger())
      return reply.type('application/json; charset=utf-8').serializer(String).send(text)
    })
  })
}

/** Names the `*` that stands for the rest of a path. */
function nameWildcard(
  schema: FastifySchema | undefined,
  url: string
): { schema: FastifySchema; url: string } {
  const params = schema?.params as
    | { properties?: Record<string, { title?: string }>; required?: string[] }
    | undefined
  const rest = params?.properties?.['*']
  if (!schema || !rest?.title || !url.endsWith('*')) return { schema: schema ?? {}, url }
  const { '*': _, ...others } = params?.properties ?? {}
  const { title, ...described } = rest
  const properties = { ...others, [title]: described }
  const renamed = { ...params, required: Object.keys(properties), properties }
  return { schema: { ...schema, params: renamed }, url: `${url.slice(0, -1)}:${title}` }
}

/** Adds what all operations have in common. */
function complete(document: OpenApiDocument): void {
  const tags = new Set<string>()
  for (const operations of Object.values(document.paths ?? {})) {
    for (const operation of Object.values(operations)) {
      for (const tag of operation.tags ?? []) tags.add(tag)
      const { requestBody } = operation
      if (requestBody && '*/*' in requestBody.content) requestBody.required = false
      operation.responses = withProblems(operation, requestBody !== undefined)
    }
  }
  document.tags = [...tags].sort().map(name => ({ name }))
}

function withProblems(operation: Operation, hasBody: boolean): Operation['responses'] {
  const responses: Operation['responses'] = {}
  for (const [status, response] of Object.entries(operation.responses)) {
    const isProblem = Number(status) >= 400 && 'description' in response
    responses[status] = isProblem ? problemResponse(response.description) : described(response, operation)
  }
  for (const status of Object.keys(hasBody ? { ...COMMON_PROBLEMS, ...BODY_PROBLEMS } : COMMON_PROBLEMS)) {
    responses[status] ??= { $ref: `#/components/responses/${responseName(status)}` }
  }
  return responses
}

/** A response of which nothing is said is what the summary of its operation says. */
function described(response: Response | Reference, { summary = '' }: Operation): Response | Reference {
  const isSilent = 'description' in response && response.description === 'Default Response'
  return isSilent ? { ...response, description: summary } : response
}

/** The problems that many operations share, by their names. */
function sharedResponses() {
  const all = Object.entries({ ...COMMON_PROBLEMS, ...BODY_PROBLEMS })
  return Object.fromEntries(all.map(([status, text]) => [responseName(status), problemResponse(text)]))
}

function responseName(status: string): string {
  return (STATUS_CODES[status] ?? status).replaceAll(' ', '')
}

function problemResponse(description: string) {
  return { description, content: { [PROBLEM_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } } }
}
