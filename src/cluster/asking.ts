import type { Clock } from '../clock.ts'

/** From one attempt to the next. */
const PAUSE_MS = 250

/**
 * Asks the store until it answers.
 * @param failed told of each failure; what it throws is the end of it.
 */
export async function askAtLast<Answer>(
  ask: () => Promise<Answer>,
  clock: Clock,
  failed: (error: unknown) => void
): Promise<Answer> {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      failed(error)
    }
    await new Promise<void>(resolve => clock.after(PAUSE_MS, resolve))
  }
}
