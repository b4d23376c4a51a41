/** What the world is told about one kind of failure. */
export interface ErrorSpec {
  /** MQTT 5 reason code (section 2.4), where a client can be told one. */
  readonly reasonCode: number
  /** HTTP status (RFC 9110), where a caller can be told one. */
  readonly status: number
  /** Text for people; `{name}` is replaced from the details. */
  readonly message: string
}

/** The one table of codes. Tests and programs compare the code, never the text. */
export const ERRORS = {
  QUEUE_BROKER_AWAY: {
    reasonCode: 0x88,
    status: 503,
    message: 'broker {name} does not answer ({problem}): try again in a few seconds'
  },
  QUEUE_BROKER_FENCED: {
    reasonCode: 0x88,
    status: 503,
    message:
      'this broker ({name}) was taken for dead by {by} after {problem}: its sessions are elsewhere, it must start anew'
  },
  QUEUE_BROKER_NAME_IN_USE: {
    reasonCode: 0x88,
    status: 503,
    message:
      'a broker named {name} lives already ({problem}): stop that one, or give this one a name of its own with --broker-name'
  },
  QUEUE_BROKER_NAMES_EXHAUSTED: {
    reasonCode: 0x88,
    status: 503,
    message:
      '{limit} broker names were used with this database, which is all it can take: start with one of the old names'
  },
  QUEUE_CONFIG_INVALID: { reasonCode: 0x83, status: 400, message: '{key} ({origin}): {problem}' },
  QUEUE_CONNECT_TIMEOUT: {
    reasonCode: 0x88,
    status: 408,
    message: 'the client was not let in within {ms} ms'
  },
  QUEUE_CONNECTION_CLOSED: { reasonCode: 0x80, status: 503, message: 'the connection is closed' },
  QUEUE_DATA_CORRUPT: { reasonCode: 0x80, status: 500, message: '{file}: {problem}' },
  QUEUE_DATA_IN_USE: {
    reasonCode: 0x88,
    status: 503,
    message:
      'the data folder {directory} is in use by another server: stop that one, or give this one a folder of its own with --data'
  },
  QUEUE_DATA_VERSION: {
    reasonCode: 0x88,
    status: 503,
    message: '{file} has format version {found}; this server reads version {expected}'
  },
  QUEUE_DISCONNECTED: {
    reasonCode: 0x98,
    status: 409,
    message: 'disconnected by an administrator of the server'
  },
  QUEUE_FILTER_INVALID: { reasonCode: 0x8f, status: 400, message: 'topic filter {filter}: {problem}' },
  QUEUE_SERVER_STOPPING: { reasonCode: 0x8b, status: 503, message: 'the server is stopping' },
  QUEUE_KEEP_ALIVE_TIMEOUT: {
    reasonCode: 0x8d,
    status: 408,
    message: 'nothing was heard for one and a half times the keep alive of {seconds} s'
  },
  QUEUE_NOT_AUTHORIZED: { reasonCode: 0x87, status: 403, message: 'not authorized: {problem}' },
  QUEUE_NOT_FOUND: { reasonCode: 0x80, status: 404, message: 'there is no {kind} {name}' },
  QUEUE_NOT_STARTED: {
    reasonCode: 0x88,
    status: 503,
    message:
      'plugin {plugin} asks for what is there once the server has started: ask in a route, or in started()'
  },
  QUEUE_PACKET_MALFORMED: { reasonCode: 0x81, status: 400, message: 'malformed packet: {problem}' },
  QUEUE_PACKET_TOO_LARGE: {
    reasonCode: 0x95,
    status: 413,
    message: 'packet of {bytes} bytes is larger than the limit of {limit} bytes'
  },
  QUEUE_PAYLOAD_FORMAT_INVALID: {
    reasonCode: 0x99,
    status: 400,
    message: 'the payload is not UTF-8 although its publisher says so (Payload Format Indicator)'
  },
  QUEUE_PLUGIN_INVALID: { reasonCode: 0x83, status: 500, message: 'plugin {plugin}: {problem}' },
  QUEUE_PLUGIN_MISSING: { reasonCode: 0x83, status: 500, message: 'plugin {plugin} needs plugin {missing}' },
  QUEUE_PROTOCOL_ERROR: { reasonCode: 0x82, status: 400, message: 'protocol error: {problem}' },
  QUEUE_PROTOCOL_UNSUPPORTED: {
    reasonCode: 0x84,
    status: 400,
    message:
      'protocol {name} level {level} is not supported: expected MQIsdp 3 (MQTT 3.1), MQTT 4 (3.1.1) or MQTT 5'
  },
  QUEUE_RECEIVE_MAXIMUM_EXCEEDED: {
    reasonCode: 0x93,
    status: 429,
    message:
      'more than {limit} publishes were sent without waiting for their acks: no more are allowed at a time (receiveMaximum)'
  },
  QUEUE_REQUEST_INVALID: { reasonCode: 0x83, status: 400, message: '{problem}' },
  QUEUE_SESSION_TAKEN_OVER: {
    reasonCode: 0x8e,
    status: 409,
    message: 'another connection with the same client id has taken the session over'
  },
  QUEUE_STORE_AWAY: {
    reasonCode: 0x88,
    status: 503,
    message: 'the store cannot be reached ({problem}): try again in a few seconds'
  },
  QUEUE_STORE_FAILED: {
    reasonCode: 0x97,
    status: 503,
    message: 'the store failed ({problem}): nothing more is accepted until the server is restarted'
  },
  QUEUE_STORE_FULL: { reasonCode: 0x97, status: 507, message: 'the store is full ({problem})' },
  QUEUE_STORE_INCOMPLETE: {
    reasonCode: 0x88,
    status: 503,
    message:
      'the store holds only a part of {from}: finish it with the same command (restante migrate or import), or empty it and begin anew'
  },
  QUEUE_STORE_LOGIN_REFUSED: {
    reasonCode: 0x88,
    status: 503,
    message:
      'the store does not let this server in ({problem}): look at the user, the password and the rights in {setting}'
  },
  QUEUE_TOPIC_ALIAS_INVALID: {
    reasonCode: 0x94,
    status: 400,
    message: 'topic alias {alias} {problem}'
  },
  QUEUE_TOPIC_INVALID: { reasonCode: 0x90, status: 400, message: 'topic name {topic}: {problem}' }
} as const satisfies Record<string, ErrorSpec>

const SHOWN_NAME_LENGTH = 120

/** A key of {@link ERRORS}. */
export type ErrorCode = keyof typeof ERRORS

/** What an error carries besides its code. */
export interface ErrorOptions {
  /** The error this one was made from. */
  readonly cause?: unknown
  /** Values for the message, and for programs that read the error. */
  readonly detail?: Readonly<Record<string, unknown>>
}

/** The error of every part: a code from the table, a text for people, details for programs. */
export class QueueError extends Error {
  override readonly name = 'QueueError'
  readonly code: ErrorCode
  readonly detail: Readonly<Record<string, unknown>>

  /**
   * @param code a key of {@link ERRORS}.
   * @param options cause, and the values named in the message.
   */
  constructor(code: ErrorCode, { cause, detail = {} }: ErrorOptions = {}) {
    super(fill(ERRORS[code].message, detail), cause === undefined ? undefined : { cause })
    this.code = code
    this.detail = detail
  }

  /** MQTT 5 reason code to answer with. */
  get reasonCode(): number {
    return ERRORS[this.code].reasonCode
  }

  /** HTTP status to answer with. */
  get status(): number {
    return ERRORS[this.code].status
  }
}

/** Whether something is a QueueError, also one of another copy of this package, as a plugin may bring it along. */
export function isQueueError(error: unknown): error is QueueError {
  if (error instanceof QueueError) return true
  return (
    error instanceof Error && error.name === 'QueueError' && Object.hasOwn(ERRORS, systemCode(error) ?? '')
  )
}

/** QUEUE_NOT_FOUND for a name that a caller gave; a long one is cut. */
export function notFound(kind: string, name: string): QueueError {
  const shown = name.length > SHOWN_NAME_LENGTH ? `${name.slice(0, SHOWN_NAME_LENGTH)}…` : name
  return new QueueError('QUEUE_NOT_FOUND', { detail: { kind, name: JSON.stringify(shown) } })
}

/** The text of anything thrown. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The system error code (`ENOSPC`) of anything thrown; `undefined` when it has none. */
export function systemCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : undefined
}

function fill(template: string, detail: Readonly<Record<string, unknown>>): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => String(detail[name] ?? '?'))
}
