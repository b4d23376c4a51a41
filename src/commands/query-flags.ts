import type { Options } from 'yargs'
import { systemClock } from '../clock.ts'
import { type Arguments, CommandError, EXIT, textArgument } from './command.ts'

/** A flag that becomes a parameter of a request. */
export interface QueryFlag {
  readonly describe: string
  /** Name of the parameter. */
  readonly query: string
  /**
   * What the flag takes: a text, a count, a duration (`90s`, `5min`, `2h`, `1d`) that becomes milliseconds, a time
   * (ISO 8601, or a duration ago) that becomes ISO 8601, or nothing: then the parameter is `value`.
   */
  readonly takes: 'text' | 'count' | 'duration' | 'time' | 'nothing'
  readonly value?: string
  readonly choices?: readonly string[]
}

/** Flags by name without dashes. */
export type QueryFlags = Readonly<Record<string, QueryFlag>>

const UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  min: 60_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000
}

/** The flags as options of a command. */
export function flagOptions(flags: QueryFlags): Record<string, Options> {
  const entries = Object.entries(flags).map(([name, { describe, takes, choices }]): [string, Options] => {
    if (takes === 'nothing') return [name, { describe, type: 'boolean' }]
    return [name, choices ? { describe, requiresArg: true, choices } : { describe, requiresArg: true }]
  })
  return Object.fromEntries(entries)
}

/** The parameters that were asked for. @throws CommandError for what a flag does not take, and for two that exclude each other. */
export function flagQuery(flags: QueryFlags, args: Arguments): URLSearchParams {
  const query = new URLSearchParams()
  const setBy = new Map<string, string>()
  for (const [name, flag] of Object.entries(flags)) {
    const text = flag.takes === 'nothing' ? args[name] && flag.value : textArgument(args, name)
    if (typeof text !== 'string') continue
    const other = setBy.get(flag.query)
    if (other) throw new CommandError(`--${other} and --${name} exclude each other`, { exitCode: EXIT.usage })
    setBy.set(flag.query, name)
    query.set(flag.query, parameterOf(name, flag, text))
  }
  return query
}

function parameterOf(name: string, { takes }: QueryFlag, text: string): string {
  if (takes === 'count') return /^\d{1,15}$/.test(text) ? text : refuse(name, 'a count such as 100', text)
  if (takes === 'duration') {
    return String(durationMs(text) ?? refuse(name, 'a duration such as 90s, 5min, 2h or 1d', text))
  }
  if (takes !== 'time') return text
  const ago = durationMs(text)
  const at = ago === undefined ? Date.parse(text) : systemClock.now() - ago
  if (Number.isNaN(at))
    return refuse(name, 'a time such as 2026-01-31T12:00:00Z, or a duration ago such as 5min', text)
  return new Date(at).toISOString()
}

/** Milliseconds of a duration such as `90s`; undefined when it is none. */
export function durationMs(text: string): number | undefined {
  const [, count, unit] = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|min|m|h|d)$/.exec(text) ?? []
  return count === undefined || unit === undefined ? undefined : Math.round(Number(count) * UNITS_MS[unit]!)
}

function refuse(name: string, expected: string, found: string): never {
  const problem = `flag --${name}: expected ${expected}, found ${JSON.stringify(found)}`
  throw new CommandError(problem, { exitCode: EXIT.usage })
}
