/** What is known of a text. `sending`: the program died before it could note the outcome, or is at it. */
export type TextState = 'sending' | 'sent' | 'refused'

/** Which texts were sent: one for each customer and number. */
export interface TextLog {
  /** Undefined: it was never tried. */
  stateOf(key: string): Promise<TextState | undefined>
  note(key: string, state: TextState): Promise<void>
  /** How many were sent. */
  sentCount(): Promise<number>
  close(): Promise<void>
}
