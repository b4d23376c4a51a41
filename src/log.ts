/** Structured log, in the form of pino: fields first, then a sentence. */
export interface Logger {
  debug(fields: object, text: string): void
  info(fields: object, text: string): void
  warn(fields: object, text: string): void
  error(fields: object, text: string): void
}

/** A log that says nothing. */
export const silentLog: Logger = { debug() {}, info() {}, warn() {}, error() {} }
