import type { FastifyPluginAsync } from 'fastify'
import { HttpError } from './problem.ts'

/** Whether the server can do its work. */
export interface Readiness {
  readonly ready: boolean
  /** Why not, for people. */
  readonly reason?: string
}

const statusSchema = {
  type: 'object',
  properties: { status: { type: 'string' } },
  required: ['status']
} as const

/**
 * Routes for whoever watches the process: GET /health/live answers 200 as long as the process can answer at all;
 * GET /health/ready answers 200, or 503 QUEUE_NOT_READY with the reason.
 */
export function healthRoutes(isReady: () => Readiness): FastifyPluginAsync {
  return async app => {
    app.get('/live', { schema: { response: { 200: statusSchema } } }, async () => ({ status: 'live' }))
    app.get('/ready', { schema: { response: { 200: statusSchema } } }, async () => {
      const { ready, reason } = isReady()
      if (!ready) throw new HttpError('QUEUE_NOT_READY', reason ?? 'the server is not ready')
      return { status: 'ready' }
    })
  }
}
