import { SETTING_KEYS, type SettingKey } from './settings.ts'

/** What the names of environment variables begin with. */
export const VARIABLE_PREFIX = 'RESTANTE_'

/** Variables with the prefix that are no settings: they address clients, tests and builds, or name the file. */
const OTHER_VARIABLES: ReadonlySet<string> = new Set([
  'RESTANTE_BOOT_ID',
  'RESTANTE_CONFIG',
  'RESTANTE_DIST',
  'RESTANTE_HTTP_URL',
  'RESTANTE_URL'
])
const OTHER_PREFIXES = ['RESTANTE_TEST_', 'RESTANTE_BENCH_']

/** What Kubernetes and Docker links set in every container beside a service that is called `restante`. */
const SERVICE_LINK =
  /^RESTANTE_(NAME|ENV_.*|SERVICE_(HOST|PORT)(_.*)?|PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?)$/

/** `mqttPort` -> `mqtt-port` (given as `--mqtt-port`). */
export function flagOf(key: SettingKey): string {
  return words(key).join('-')
}

/** `mqttPort` -> `RESTANTE_MQTT_PORT`. */
export function variableOf(key: SettingKey): string {
  return VARIABLE_PREFIX + words(key).join('_').toUpperCase()
}

/** The key of a flag given without its dashes; `undefined` when there is none. */
export function keyOfFlag(flag: string): SettingKey | undefined {
  return KEY_OF_FLAG.get(flag)
}

/** The key of an environment variable; `undefined` when there is none. */
export function keyOfVariable(variable: string): SettingKey | undefined {
  return KEY_OF_VARIABLE.get(variable)
}

/** Whether a variable with our prefix is meant for something else than the settings. */
export function isOtherVariable(variable: string): boolean {
  return (
    OTHER_VARIABLES.has(variable) ||
    OTHER_PREFIXES.some(prefix => variable.startsWith(prefix)) ||
    SERVICE_LINK.test(variable)
  )
}

function words(key: SettingKey): string[] {
  return key.split(/(?=[A-Z])/).map(word => word.toLowerCase())
}

const KEY_OF_FLAG = new Map(SETTING_KEYS.map(key => [flagOf(key), key]))
const KEY_OF_VARIABLE = new Map(SETTING_KEYS.map(key => [variableOf(key), key]))
