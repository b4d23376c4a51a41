import { QueueError } from '../errors.ts'
import { DEFAULT_ORIGIN, type Origin, originText } from './origin.ts'
import { defaultSettings, SETTING_KEYS, type SettingKey, type Settings } from './settings.ts'
import {
  environmentSource,
  fileSource,
  flagSource,
  type SettingProblem,
  type SettingsSource
} from './sources.ts'

/** What the settings are made from, besides the defaults; the later ones win. */
export interface SettingsInput {
  /** Path of a YAML or JSON file. */
  readonly file?: string | undefined
  /** Usually `process.env`. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** By flag name without dashes: `{ 'mqtt-port': '0' }`. */
  readonly flags?: Readonly<Record<string, unknown>>
}

/** The settings, and where each value came from. */
export interface LoadedSettings {
  readonly settings: Settings
  readonly origins: Readonly<Record<SettingKey, Origin>>
}

/**
 * Merges defaults < file < environment < flags, key by key (a list or an object is replaced as a whole).
 * @throws QueueError QUEUE_CONFIG_INVALID: `detail` has the first problem as {key, origin, problem}, and all of
 * them in `problems`.
 */
export function loadSettings({ file, environment = {}, flags = {} }: SettingsInput): LoadedSettings {
  const sources = [
    ...(file === undefined ? [] : [fileSource(file)]),
    environmentSource(environment),
    flagSource(flags)
  ]
  assertNoProblem(sources.flatMap(source => source.problems))
  const loaded = merge(sources)
  assertNoProblem(conflicts(loaded))
  return loaded
}

function merge(sources: readonly SettingsSource[]): LoadedSettings {
  const values: Record<string, unknown> = defaultSettings()
  const origins = Object.fromEntries(SETTING_KEYS.map(key => [key, DEFAULT_ORIGIN])) as Record<
    SettingKey,
    Origin
  >
  for (const source of sources) {
    for (const key of SETTING_KEYS) {
      if (!Object.hasOwn(source.values, key)) continue
      values[key] = source.values[key]
      origins[key] = source.originOf(key)
    }
  }
  return { settings: values as Settings, origins }
}

/** Values that are right alone and wrong together. */
function conflicts({ settings, origins }: LoadedSettings): SettingProblem[] {
  const { mqttPort, httpPort } = settings
  if (mqttPort !== httpPort || mqttPort === 0) return []
  const key = origins.httpPort.kind === 'default' ? 'mqttPort' : 'httpPort'
  const other = key === 'mqttPort' ? 'httpPort' : 'mqttPort'
  const problem = `expected another port than ${other}, found ${mqttPort} for both`
  return [{ key, origin: originText(origins[key]), problem }]
}

function assertNoProblem(problems: readonly SettingProblem[]): void {
  const [first] = problems
  if (first) throw new QueueError('QUEUE_CONFIG_INVALID', { detail: { ...first, problems } })
}
