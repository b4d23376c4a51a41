import type { Duplex } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { errorText, QueueError, systemCode } from '../errors.ts'
import type { Logger } from '../log.ts'
import { HttpError, PROBLEM_TYPE, type Problem, pathOf, problemOf } from './problem.ts'

/** Makes every failed request, unknown paths included, answer with problem details; logs what is no fault of the caller. */
export function addProblemReplies(app: FastifyInstance, log: Logger): void {
  app.setErrorHandler((error, request, reply) => replyProblem(error, request, reply, log))
  app.setNotFoundHandler(request => {
    throw new QueueError('QUEUE_NOT_FOUND', {
      detail: { kind: 'resource', name: shorten(pathOf(request.url)) }
    })
  })
}

/** Answers one failed request. */
export function replyProblem(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  log: Logger
): FastifyReply {
  const problem = problemOf(withReason(error, request), request.raw.url ?? '')
  if (problem.status === 500) {
    const { plugin } = (request.routeOptions?.config ?? {}) as { plugin?: string }
    const fields = { err: error, method: request.method, path: problem.instance, ...(plugin && { plugin }) }
    log.error(fields, plugin ? `an HTTP request to plugin ${plugin} failed` : 'an HTTP request failed')
  }
  if (error instanceof HttpError) reply.headers(error.headers)
  return reply.code(problem.status).type(PROBLEM_TYPE).serializer(JSON.stringify).send(problem)
}

/** Answers on a connection that has no HTTP response (a refused upgrade, bytes that are no HTTP), and closes it. */
export function writeProblem(socket: Duplex, error: unknown, url: string): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const problem: Problem = problemOf(error, url)
  const body = JSON.stringify(problem)
  const extra = error instanceof HttpError ? Object.entries(error.headers) : []
  const head = [
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    ...extra.map(([name, value]) => `${name}: ${value}`),
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close'
  ]
  socket.once('finish', () => socket.destroy())
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

/** What to say to a connection whose bytes Node could not read as HTTP. */
export function unreadableRequest(error: Error): HttpError {
  switch (systemCode(error)) {
    case 'HPE_HEADER_OVERFLOW':
      return new HttpError('QUEUE_HEADERS_TOO_LARGE', 'the path and headers of the request are too large')
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new HttpError('QUEUE_REQUEST_TIMEOUT', 'the request did not arrive in time')
    default:
      return new HttpError('QUEUE_REQUEST_INVALID', 'this is not HTTP/1.1')
  }
}

/** Fastify's own refusals of a body do not say what was found or would be taken. */
function withReason(error: unknown, { headers, routeOptions }: FastifyRequest): unknown {
  switch (systemCode(error)) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE': {
      const detail = `the body is larger than the limit of ${routeOptions.bodyLimit} bytes`
      return new HttpError('QUEUE_REQUEST_TOO_LARGE', detail)
    }
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE': {
      const own = 'Unsupported Media Type'
      if (errorText(error) !== own) return error // a plugin has said more
      const detail = `${own}: Content-Type is ${JSON.stringify(headers['content-type'] ?? '')}`
      return new HttpError('QUEUE_MEDIA_TYPE_UNSUPPORTED', detail)
    }
    default:
      return error
  }
}

function shorten(path: string): string {
  return path.length > 120 ? `${path.slice(0, 120)}…` : path
}
