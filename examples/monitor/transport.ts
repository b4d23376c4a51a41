import type { SalesPerson } from './sales-people.ts'

/** A text to one person. */
export interface Text {
  /** The same for the same text, however often it is tried: for services that know repetitions by it. */
  readonly key: string
  readonly to: SalesPerson
  readonly body: string
}

/** A way to send texts. A new one is one file like `webhook.ts`, and a line in `transports.ts`. */
export interface Transport {
  /**
   * Sends a text; resolves when the service has taken it.
   * @throws RefusedError; anything else may pass, and is tried again
   */
  send(text: Text): Promise<void>
  /**
   * Whether the service has this text already. Asked when an attempt before had no answer, say because the
   * program died; without it the text is sent once more.
   */
  hasSent?(text: Text): Promise<boolean>
}

/** The service will never take this text, say because there is no such number. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError'
}

/** How long a service may take to answer. */
export const ANSWER_MS = 10_000
