import type { Duplex } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { QueueError, systemCode } from '../errors.ts'
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
  const problem = problemOf(error, request.raw.url ?? '')
  if (problem.status === 500) {
    log.error({ err: error, method: request.method, path: problem.instance }, 'an HTTP request failed')
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

function shorten(path: string): string {
  return path.length > 120 ? `${path.slice(0, 120)}…` : path
}
