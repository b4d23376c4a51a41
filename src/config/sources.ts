import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { extname, resolve } from 'node:path'
import { errorText } from '../errors.ts'
import { flagOf, isOtherVariable, keyOfFlag, keyOfVariable, VARIABLE_PREFIX, variableOf } from './names.ts'
import { type Origin, originText } from './origin.ts'
import { SETTING_KEYS, type SettingKey, schemaOf } from './settings.ts'
import { nearestName } from './suggestion.ts'
import { type ValueProblem, validateValues, type Writing } from './validate.ts'

/** A value that was refused: the key (or what was written in its place), where, and why. */
export interface SettingProblem extends ValueProblem {
  readonly origin: string
}

/** What one source says. Only keys that it sets are in `values`; with problems it must not be used. */
export interface SettingsSource {
  readonly values: Readonly<Record<string, unknown>>
  readonly problems: readonly SettingProblem[]
  originOf(key: string): Origin
}

/**
 * Reads a configuration file: JSON when it is named `.json`, otherwise YAML.
 * @param file path, relative to the current folder.
 */
export function fileSource(file: string): SettingsSource {
  const origin: Origin = { kind: 'file', name: resolve(file) }
  const refuse = (problem: string): SettingsSource =>
    source({}, 'typed', () => origin, [{ key: 'config', origin: originText(origin), problem }])
  let content: unknown
  try {
    const text = readFileSync(file, 'utf8')
    content = extname(file) === '.json' ? JSON.parse(text) : parseYaml(text)
  } catch (error) {
    return refuse(`cannot be read: ${errorText(error).split('\n')[0]?.replace(/:$/, '')}`)
  }
  if (content === null) return source({}, 'typed', () => origin, []) // an empty file, or comments only
  if (typeof content !== 'object' || Array.isArray(content)) {
    return refuse('expected settings in the form "key: value"')
  }
  return source({ ...content }, 'typed', () => origin, [])
}

/** The parser is loaded when there is a file for it: most programs run without one. */
function parseYaml(text: string): unknown {
  const { parse } = createRequire(import.meta.url)('yaml') as typeof import('yaml')
  return parse(text, { logLevel: 'error' })
}

/** Reads the variables that begin with RESTANTE_. An empty one counts as not set. */
export function environmentSource(environment: Readonly<Record<string, string | undefined>>): SettingsSource {
  const values: Record<string, unknown> = {}
  const problems: SettingProblem[] = []
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith(VARIABLE_PREFIX) || isOtherVariable(name)) continue
    const key = keyOfVariable(name)
    if (!key) problems.push(unknownName(name, name.slice(VARIABLE_PREFIX.length), 'environment', variableOf))
    else if (text) values[key] = fromText(key, text)
  }
  return source(
    values,
    'text',
    key => ({ kind: 'environment', name: variableOf(key as SettingKey) }),
    problems
  )
}

/**
 * Reads flags.
 * @param flags by name without dashes (`mqtt-port`); undefined counts as not given. Of a flag that was given more
 * than once the last one counts, except for lists.
 */
export function flagSource(flags: Readonly<Record<string, unknown>>): SettingsSource {
  const values: Record<string, unknown> = {}
  const problems: SettingProblem[] = []
  for (const [name, given] of Object.entries(flags)) {
    if (given === undefined) continue
    const key = keyOfFlag(name)
    if (!key) problems.push(unknownName(`--${name}`, name, 'flag', known => `--${flagOf(known)}`))
    else values[key] = fromFlag(key, given)
  }
  return source(values, 'text', key => ({ kind: 'flag', name: `--${flagOf(key as SettingKey)}` }), problems)
}

function source(
  values: Record<string, unknown>,
  writing: Writing,
  originOf: (key: string) => Origin,
  problems: readonly SettingProblem[]
): SettingsSource {
  const found = validateValues(values, writing).map(problem => ({
    ...problem,
    origin: originText(originOf(problem.key))
  }))
  return { values, problems: [...problems, ...found], originOf }
}

function unknownName(
  name: string,
  bareName: string,
  kind: 'environment' | 'flag',
  nameOf: (key: SettingKey) => string
): SettingProblem {
  const nearest = nearestName(bareName, SETTING_KEYS)
  const hint = nearest ? ` (did you mean ${nameOf(nearest)}?)` : ''
  return { key: name, origin: originText({ kind, name }), problem: `there is no such setting${hint}` }
}

function fromFlag(key: SettingKey, given: unknown): unknown {
  if (!Array.isArray(given)) return typeof given === 'string' ? fromText(key, given) : given
  if (schemaOf(key).type === 'array') return given.flatMap(text => fromText(key, String(text)))
  return fromFlag(key, given.at(-1))
}

/** Lists are written `a,b` or as JSON, objects as JSON. What cannot be read stays text, which the schema refuses. */
function fromText(key: SettingKey, text: string): unknown {
  const { type } = schemaOf(key)
  if (type !== 'array' && type !== 'object') return text
  const isJson = type === 'object' || text.trimStart().startsWith('[')
  if (!isJson)
    return text
      .split(',')
      .map(part => part.trim())
      .filter(part => part !== '')
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
