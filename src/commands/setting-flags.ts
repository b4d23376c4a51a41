import type { Options } from 'yargs'
import { flagOf } from '../config/names.ts'
import { SETTING_KEYS, type SettingKey, schemaOf } from '../config/settings.ts'
import { expectation } from '../config/wording.ts'
import { type Arguments, textArgument } from './command.ts'

/** The flags of all settings, and `--config`, as options of yargs; made from the schema, without defaults there. */
export function settingOptions(): Record<string, Options> {
  const file: Options = {
    requiresArg: true,
    group: 'Settings:',
    describe: 'File with settings, YAML or JSON (also RESTANTE_CONFIG). Environment and flags come after it.'
  }
  return { config: file, ...Object.fromEntries(SETTING_KEYS.map(key => [flagOf(key), settingOption(key)])) }
}

/** What the command line and the environment say of the settings, as `loadSettings` takes it. */
export function settingsInput(args: Arguments, environment: NodeJS.ProcessEnv) {
  const given = SETTING_KEYS.map(flagOf).filter(flag => args[flag] !== undefined)
  return {
    file: textArgument(args, 'config') ?? (environment.RESTANTE_CONFIG || undefined),
    environment,
    flags: Object.fromEntries(given.map(flag => [flag, args[flag]]))
  }
}

function settingOption(key: SettingKey): Options {
  const schema = schemaOf(key)
  const choices = 'enum' in schema ? ` Takes ${expectation(schema)}.` : ''
  return {
    requiresArg: true,
    group: 'Settings:',
    describe: schema.description + choices,
    defaultDescription: String(
      typeof schema.default === 'object' ? JSON.stringify(schema.default) : schema.default
    )
  }
}
