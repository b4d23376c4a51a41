import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import test from 'ava'
import type { FastifyPluginAsync } from 'fastify'
import { builtinPlugins } from '../src/builtin.ts'
import { defaultSettings } from '../src/config/settings.ts'
import type { Plugin } from '../src/plugin.ts'
import { createServer } from '../src/server.ts'
import { startHttp } from './helpers/http-server.ts'

interface Parameter {
  readonly name: string
  readonly in: string
  readonly description?: string
  readonly schema: object
}

interface Content {
  readonly [type: string]: { readonly schema?: object }
}

interface Operation {
  readonly summary?: string
  readonly operationId?: string
  readonly tags?: readonly string[]
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly required: boolean; readonly content: Content }
  readonly responses: Readonly<
    Record<string, { readonly $ref?: string; readonly content?: Content; readonly description?: string }>
  >
}

interface Description {
  readonly openapi: string
  readonly info: { readonly title: string; readonly version: string }
  readonly tags: readonly { readonly name: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: {
    readonly schemas: Readonly<Record<string, object>>
    readonly responses: Readonly<Record<string, { readonly content: Content }>>
  }
}

const PROBLEM = { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } }

let description: Description
/** `GET /a/:b` for each route of the server. */
let routes: readonly string[]

test.before('a whole server describes itself', async t => {
  let tree = ''
  const last: Plugin = {
    name: 'last',
    schema: { type: 'object' },
    setup: () => ({
      async rootRoutes(app) {
        tree = app.printRoutes({ commonPrefix: false })
      }
    })
  }
  const settings = defaultSettings({ mqttPort: 0, httpPort: 0, store: 'memory' })
  const server = await createServer({ settings, plugins: [...builtinPlugins(settings), last] })
  try {
    const response = await fetch(`http://127.0.0.1:${server.httpAddress.port}/openapi.json`)
    t.is(response.status, 200)
    t.is(response.headers.get('content-type'), 'application/json; charset=utf-8')
    description = (await response.json()) as Description
    routes = routesOf(tree)
  } finally {
    await server.stop()
  }
})

/** The routes in Fastify's drawing of them. */
function routesOf(tree: string): string[] {
  const path: string[] = []
  return tree.split('\n').flatMap(line => {
    const [, indent, part, methods] = /^((?:[│ ] {3})*)(?:├── |└── )(\S*)(?: \(([^)]*)\))?/.exec(line) ?? []
    if (indent === undefined || part === undefined) return []
    path.splice(indent.length / 4, path.length, part)
    return (methods?.split(', ') ?? []).map(method => `${method} ${path.join('')}`)
  })
}

/** Operations by method and path. */
function operations(): [name: string, operation: Operation][] {
  return Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Operation] => [
      `${method.toUpperCase()} ${path}`,
      operation
    ])
  )
}

test('the description is valid OpenAPI 3.1', async t => {
  const validator = new Validator()
  const result = await validator.validate(structuredClone(description) as unknown as Record<string, unknown>)
  t.true(result.valid, JSON.stringify(result.errors, null, 1))
  t.is(validator.version, '3.1')
  t.is(description.openapi, '3.1.0')
  t.is(description.info.title, 'Restante')
  t.regex(description.info.version, /^\d+\.\d+\.\d+/)
})

test('every schema of the description is a valid JSON Schema', t => {
  const { components } = description
  const ajv = new Ajv2020({
    strict: true,
    allowUnionTypes: true,
    strictRequired: false,
    validateFormats: true
  })
  formats.default(ajv)
  ajv.addVocabulary(['components'])
  for (const [name, operation] of operations()) {
    const contents = [operation.requestBody, ...Object.values(operation.responses)].flatMap(part =>
      Object.values(part?.content ?? {})
    )
    const schemas = [...(operation.parameters ?? []), ...contents].flatMap(({ schema }) => schema ?? [])
    for (const schema of schemas)
      t.notThrows(() => ajv.compile({ ...schema, components }), `${name}: ${JSON.stringify(schema)}`)
  }
})

test('every route is described, and internal ones are not', t => {
  const shown = operations().map(([name]) => name.replace(/\{\w+\}/g, '{}'))
  const made = routes
    .filter(route => !route.startsWith('HEAD ') && !route.startsWith('OPTIONS ') && !route.endsWith(' /mqtt'))
    .map(route => route.replace(/\/?\*$/, '/{}').replace(/:\w+/g, '{}'))
  t.true(made.length >= 10, routes.join('\n'))
  t.deepEqual(shown.sort(), [...new Set(made)].sort())
})

test('every operation says what it is for, and what its parameters mean', t => {
  const ids = new Set<string>()
  const tags = new Set(description.tags.map(({ name }) => name))
  for (const [name, operation] of operations()) {
    t.truthy(operation.summary, name)
    t.truthy(operation.operationId, name)
    t.false(ids.has(operation.operationId!), `${name}: ${operation.operationId} is there twice`)
    ids.add(operation.operationId!)
    t.is(operation.tags?.length, 1, name)
    t.true(tags.has(operation.tags![0]!), name)
    for (const parameter of operation.parameters ?? [])
      t.truthy(parameter.description, `${name}: ${parameter.name}`)
    for (const [status, response] of Object.entries(operation.responses)) {
      const text = response.$ref ?? response.description
      t.true(text !== undefined && text !== 'Default Response', `${name}: ${status}`)
    }
  }
})

test('every failure is described as problem details', t => {
  for (const [name, { responses, requestBody }] of operations()) {
    for (const status of ['400', '403', '421', '500', ...(requestBody ? ['413', '415'] : [])]) {
      t.true(status in responses, `${name}: ${status}`)
    }
    for (const [status, { $ref, content }] of Object.entries(responses)) {
      if (Number(status) < 400) continue
      const shared =
        $ref === undefined ? undefined : description.components.responses[$ref.split('/').at(-1)!]
      t.deepEqual(shared?.content ?? content, PROBLEM, `${name}: ${status}`)
    }
  }
})

test('the rest of a path is described under its name', t => {
  const operation = description.paths['/v1/queues/{queue}/events/{event}']?.post
  t.deepEqual(
    operation?.parameters?.filter(parameter => parameter.in === 'path').map(({ name }) => name),
    ['queue', 'event']
  )
  t.false(operation?.requestBody?.required)
})

test('a route that is hidden is not described', async t => {
  const plugin: FastifyPluginAsync = async app => {
    app.get('/shown', async () => ({}))
    app.get('/hidden', { schema: { hide: true } }, async () => ({}))
  }
  const { http } = await startHttp(t, { routes: [plugin] })
  const own = (await http.app.inject('/openapi.json')).json<Description>()
  t.deepEqual(Object.keys(own.paths).sort(), ['/health/live', '/health/ready', '/openapi.json', '/v1/shown'])
})
