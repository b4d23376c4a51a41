import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { HttpError } from './problem.ts'

/** How long a browser may remember what it was told before a request. */
const PREFLIGHT_SECONDS = 600

/**
 * Watches which routes are made, and returns the plugin that answers where a path has routes but not for the method
 * that was asked: 405 with Allow, and 204 with Allow to OPTIONS. It must be registered behind all others.
 * @see RFC 9110 sections 9.3.7 and 15.5.6
 */
export function otherMethods(app: FastifyInstance): FastifyPluginAsync {
  const paths = new Map<string, { url: string; methods: Set<string> }>()
  app.addHook('onRoute', ({ url, method }) => {
    const key = url.replace(/:[^/]+/g, ':') // /a/:x and /a/:y are one path
    const path = paths.get(key) ?? { url, methods: new Set() }
    for (const name of [method].flat()) path.methods.add(name.toUpperCase())
    paths.set(key, path)
  })
  return async scope => {
    for (const { url, methods } of [...paths.values()]) {
      const allow = [...methods].sort().join(', ')
      const others = app.supportedMethods.filter(method => !methods.has(method))
      if (others.length === 0) continue
      // before Fastify looks at a body that nobody wants
      const onRequest = async (request: FastifyRequest, reply: FastifyReply) => answer(request, reply, allow)
      scope.route({ url, method: others, schema: { hide: true }, onRequest, handler: () => {} })
    }
  }
}

/** @param allow the methods that are possible. */
function answer(request: FastifyRequest, reply: FastifyReply, allow: string): FastifyReply {
  if (request.method !== 'OPTIONS') {
    const problem = `${request.method} is not possible here: ${allow} is`
    throw new HttpError('QUEUE_METHOD_NOT_ALLOWED', problem, { allow })
  }
  reply.header('allow', allow)
  // a browser asks before a page of another origin, one that may call, does more than read
  if (request.headers.origin !== undefined) {
    reply.header('access-control-allow-methods', allow)
    reply.header('access-control-allow-headers', 'content-type')
    reply.header('access-control-max-age', PREFLIGHT_SECONDS)
  }
  return reply.code(204).send()
}
