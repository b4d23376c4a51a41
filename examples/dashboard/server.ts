import { createReadStream } from 'node:fs'
import { extname } from 'node:path'
import Fastify, { type FastifyInstance } from 'fastify'
import { answerProblems, Problem } from '../shared/problem.ts'
import { MEDIA_TYPES, pageFiles } from './files.ts'
import { strangeOrigin } from './same-origin.ts'
import { readAttached, readCount, type SourceOptions } from './sources.ts'
import { proxyWebSockets } from './websocket-proxy.ts'

/** What the dashboard stands on. */
export interface DashboardOptions extends SourceOptions {
  /** Names by which browsers call it, besides localhost and addresses. */
  readonly allowedHosts: readonly string[]
}

/** Serves the page, the count and the attached sessions, and hands MQTT on. */
export function createDashboard(options: DashboardOptions): FastifyInstance {
  const app = Fastify({ forceCloseConnections: true })
  answerProblems(app)

  app.addHook('onRequest', async request => {
    const problem = strangeOrigin(request.raw, options.allowedHosts)
    if (problem) throw new Problem(403, problem)
  })

  for (const [path, file] of pageFiles()) {
    app.get(path, (_request, reply) =>
      reply
        .type(MEDIA_TYPES[extname(file)] ?? 'application/octet-stream')
        .header('cache-control', 'no-cache')
        .send(createReadStream(file))
    )
  }

  app.get('/api/count', () => readCount(options))
  app.get('/api/attached', () => readAttached(options))
  app.get('/health', async () => ({ status: 'ok' }))

  const endWebSockets = proxyWebSockets(app.server, {
    path: '/mqtt',
    target: options.queueUrl,
    allowedHosts: options.allowedHosts
  })
  app.addHook('preClose', async () => endWebSockets())
  return app
}
