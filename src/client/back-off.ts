import { invalidOption } from './errors.ts'

/** Limits of a growing delay. */
export interface BackOffLimits {
  /** Delay before the second attempt. It doubles with each further one. */
  readonly minMs: number
  /** Longest delay. */
  readonly maxMs: number
}

/** @throws ClientError CLIENT_OPTIONS_INVALID */
export function backOffLimits(
  option: string,
  given: Partial<BackOffLimits> | undefined,
  base: BackOffLimits
): BackOffLimits {
  const minMs = given?.minMs ?? base.minMs
  const maxMs = given?.maxMs ?? Math.max(base.maxMs, minMs)
  if (!(minMs >= 0 && maxMs >= minMs && maxMs < 2 ** 31)) {
    throw invalidOption(option, `expected 0 <= minMs <= maxMs < 2^31, found ${minMs} and ${maxMs}`)
  }
  return { minMs, maxMs }
}

/**
 * The delay before the next attempt: doubled with each failure up to the limit, then between half and all of it by
 * chance, so that many clients do not come back at the same moment.
 * @param failures so far, at least 1.
 */
export function backOffMs(failures: number, { minMs, maxMs }: BackOffLimits): number {
  const fullMs = Math.min(maxMs, minMs * 2 ** Math.min(failures - 1, 30))
  return Math.round(fullMs * (0.5 + Math.random() / 2))
}
