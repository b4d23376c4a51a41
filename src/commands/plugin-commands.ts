import yargs from 'yargs'
import type { Arguments, Command } from './command.ts'
import { settingOptions, settingsInput } from './setting-flags.ts'

/** The commands of one plugin. */
export interface PluginCommands {
  readonly plugin: string
  readonly commands: readonly Command[]
}

/**
 * The commands of the plugins that the settings name, built in or not. Each takes the flags of the settings as well, so
 * that it can be told where its plugin is.
 * @param words what was typed. @throws QueueError QUEUE_CONFIG_INVALID, QUEUE_PLUGIN_INVALID
 */
export async function pluginCommands(
  words: readonly string[],
  environment: NodeJS.ProcessEnv
): Promise<PluginCommands[]> {
  const [{ loadSettings }, { builtinPlugins }, { loadPlugins }] = await Promise.all([
    import('../config/load.ts'),
    import('../builtin.ts'),
    import('../plugin-loader.ts')
  ])
  const { settings } = loadSettings(settingsInput(await placeFlags(words), environment))
  const builtin = builtinPlugins(settings)
  const loaded = await loadPlugins(
    settings.plugin,
    builtin.map(({ name }) => name)
  )
  return [...builtin, ...loaded.map(one => one.plugin)]
    .filter(({ commands = [] }) => commands.length > 0)
    .map(({ name, commands = [] }) => ({ plugin: name, commands: commands.map(withPlaceFlags) }))
}

/** The flags that say where plugins are. */
function placeOptions(): Command['options'] {
  const { plugin, config } = settingOptions()
  return { plugin: plugin!, config: config! }
}

/** What was typed of them, whatever else was. */
async function placeFlags(words: readonly string[]): Promise<Arguments> {
  const parser = yargs([...words])
    .help(false)
    .version(false)
    .exitProcess(false)
    .fail(false)
  return await parser.options(placeOptions()).parseAsync()
}

function withPlaceFlags(command: Command): Command {
  return { ...command, options: { ...command.options, ...placeOptions() } }
}
