import type { FastifyPluginAsync } from 'fastify'
import { HttpError } from './problem.ts'

/** Whether the server can do its work. */
export interface Readiness {
  readonly ready: boolean
  /** Why not, for people. */
  readonly reason?: string
}

/** The description of a route that answers with one word. */
function statusRoute(operationId: string, summary: string, word: string) {
  const status = { type: 'string', enum: [word] }
  const answer = { type: 'object', description: summary, required: ['status'], properties: { status } }
  return { tags: ['health'], operationId, summary, response: { 200: answer } }
}

const liveSchema = statusRoute('getLive', 'The process can answer', 'live')
const readySchema = statusRoute('getReady', 'The server accepts and delivers messages', 'ready')
const notReady = {
  type: 'object',
  description: 'It is stopping, or its store has failed: `detail` says why.'
}

/**
 * Routes for whoever watches the process: GET /health/live answers 200 as long as the process can answer at all;
 * GET /health/ready answers 200, or 503 QUEUE_NOT_READY with the reason.
 */
export function healthRoutes(isReady: () => Readiness): FastifyPluginAsync {
  return async app => {
    app.get('/live', { schema: liveSchema }, async () => ({ status: 'live' }))
    const schema = { ...readySchema, response: { ...readySchema.response, 503: notReady } }
    app.get('/ready', { schema }, async () => {
      const { ready, reason } = isReady()
      if (!ready) throw new HttpError('QUEUE_NOT_READY', reason ?? 'the server is not ready')
      return { status: 'ready' }
    })
  }
}
