/** What can go wrong, and how it is said; `{name}` is replaced from the details. Programs compare the code. */
export const CLIENT_ERRORS = {
  /** The client is closed, or is being closed. */
  CLIENT_CLOSED: 'the client is closed',
  /** The server ended the connection and would do so again. */
  CLIENT_DISCONNECTED: '{url} ended the connection: {reason}',
  /** A handler was rejected; the message comes again. */
  CLIENT_HANDLER_REJECTED:
    'the handler of {filter} rejected a message of {topic} (attempt {attempt}): {problem}',
  /** A message came for which no handler is there. It is held, not acked. */
  CLIENT_NO_HANDLER:
    'a message of {topic} waits for a handler: add one with client.on(), or end the subscription that an earlier program left in the session with client.forget(queue, event)',
  /** An argument is wrong. */
  CLIENT_OPTIONS_INVALID: '{option}: {problem}',
  /** More messages of QoS 0 came than can wait for the handlers. */
  CLIENT_OVERFLOW: 'messages of QoS 0 come faster than they are handled: {count} were dropped',
  /** A payload is not what the subscription expects. */
  CLIENT_PAYLOAD_INVALID: 'a message of {topic} does not fit: {problem}',
  /** The server refused a publish. */
  CLIENT_PUBLISH_REFUSED: '{topic} was not published: {reason}',
  /** The server refused the connection and would do so again. */
  CLIENT_REFUSED: '{url} refused the connection: {reason}',
  /** The server refused a subscription. */
  CLIENT_SUBSCRIBE_REFUSED: 'the subscription of {filter} was refused: {reason}',
  /** Another client with the same id has the session now. */
  CLIENT_TAKEN_OVER:
    'another client has connected with the id {clientId} and has taken the session over: give each program an id of its own',
  /** A topic or filter is not legal. */
  CLIENT_TOPIC_INVALID: '{name}: {problem}',
  /** The server was not reached in time. */
  CLIENT_UNREACHABLE: '{url} cannot be reached ({reason}): tried for {ms} ms'
} as const

/** A key of {@link CLIENT_ERRORS}. */
export type ClientErrorCode = keyof typeof CLIENT_ERRORS

/** What an error carries besides its code. */
export interface ClientErrorOptions {
  readonly cause?: unknown
  /** Values for the text, and for programs that read the error. */
  readonly detail?: Readonly<Record<string, unknown>>
}

/** The error of the client: a code from the table, a text for people, details for programs. */
export class ClientError extends Error {
  override readonly name = 'ClientError'
  readonly code: ClientErrorCode
  readonly detail: Readonly<Record<string, unknown>>

  constructor(code: ClientErrorCode, { cause, detail = {} }: ClientErrorOptions = {}) {
    const text = CLIENT_ERRORS[code].replace(/\{(\w+)\}/g, (_, name: string) => String(detail[name] ?? ''))
    super(text, cause === undefined ? undefined : { cause })
    this.code = code
    this.detail = detail
  }
}

/** The text of anything thrown. */
export function problemText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The error for a wrong argument. */
export function invalidOption(option: string, problem: string): ClientError {
  return new ClientError('CLIENT_OPTIONS_INVALID', { detail: { option, problem } })
}
