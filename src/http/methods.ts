import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import { HttpError } from './problem.ts'

/**
 * Watches which routes are made, and returns the plugin that answers 405 with Allow where a path has routes but not
 * for the method that was asked. It must be registered behind all others. @see RFC 9110 section 15.5.6
 */
export function methodNotAllowed(app: FastifyInstance): FastifyPluginAsync {
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
      scope.route({
        url,
        method: others,
        handler: async request => {
          throw new HttpError(
            'QUEUE_METHOD_NOT_ALLOWED',
            `${request.method} is not possible here: ${allow} is`,
            {
              allow
            }
          )
        }
      })
    }
  }
}
