import type { Control } from '../../src/plugin.ts'
import type { Introspected } from './source.ts'

/** What is asked for is not possible with this broker: HTTP status 501. */
export class UnableError extends Error {
  override readonly name = 'UnableError'
  readonly code = 'QUEUE_NOT_SUPPORTED'
  readonly statusCode = 501
}

/** What clients and sessions are changed with. @throws UnableError when this is not possible here. */
export function needControl({ control }: Introspected): Control {
  if (control) return control
  throw new UnableError('this broker is only looked at: nothing can be changed through it')
}
