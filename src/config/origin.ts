/** Where a value came from; `name` is the path of the file, the variable, or the flag with its dashes. */
export interface Origin {
  readonly kind: 'default' | 'file' | 'environment' | 'flag'
  readonly name: string
}

/** The origin of every value that no source gave. */
export const DEFAULT_ORIGIN: Origin = { kind: 'default', name: '' }

const PREFIX = { default: 'default', file: 'file ', environment: 'environment variable ', flag: 'flag ' }

/** For people: `flag --mqtt-port`. */
export function originText(origin: Origin): string {
  return PREFIX[origin.kind] + origin.name
}
