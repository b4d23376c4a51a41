import { STATUS_CODES } from 'node:http'
import type { FastifyError, FastifyInstance, FastifyReply } from 'fastify'

/** What is wrong with one field of a request. */
export interface FieldError {
  /** Where it stands in the body. @see RFC 6901 (JSON Pointer) */
  readonly pointer: string
  readonly detail: string
}

/** A refusal that the caller is told about. */
export class Problem extends Error {
  override readonly name = 'Problem'
  /** Status of the answer. */
  readonly status: number
  readonly errors: readonly FieldError[] | undefined
  /** Headers that the answer must have, such as WWW-Authenticate. */
  readonly headers: Readonly<Record<string, string>>

  /** @param detail text for whoever asked: what was wrong, what was expected. */
  constructor(
    status: number,
    detail: string,
    extra: {
      readonly errors?: readonly FieldError[]
      readonly headers?: Readonly<Record<string, string>>
    } = {}
  ) {
    super(detail)
    this.status = status
    this.errors = extra.errors
    this.headers = extra.headers ?? {}
  }
}

/** Lets every failure of the application be answered as problem details. @see RFC 9457 */
export function answerProblems(app: FastifyInstance): void {
  app.setNotFoundHandler((request, reply) =>
    answer(reply, new Problem(404, `there is no ${request.method} ${request.url.replace(/\?.*/s, '')}`))
  )
  app.setErrorHandler((error: FastifyError, request, reply) => {
    if (error instanceof Problem) return answer(reply, error)
    const status = error.statusCode ?? 500
    if (status < 500) return answer(reply, new Problem(status, error.message)) // made by Fastify for the caller
    console.error(`${request.method} ${request.url}:`, error)
    return answer(reply, new Problem(500, 'the program failed to answer this; its output says more'))
  })
}

function answer(reply: FastifyReply, { status, message, errors, headers }: Problem): FastifyReply {
  return reply
    .code(status)
    .headers(headers)
    .type('application/problem+json')
    .send({ type: 'about:blank', title: STATUS_CODES[status], status, detail: message, errors })
}
