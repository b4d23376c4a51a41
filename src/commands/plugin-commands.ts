import yargs from 'yargs'
import type { Arguments, Command } from './command.ts'
import { settingOptions, settingsInput } from './setting-flags.ts'

/** The commands of one plugin. */
export interface PluginCommands {
  readonly plugin: string
  readonly commands: readonly Command[]
}

/**
 * The commands of the plugins that the settings name. Each takes the flags that say where plugins are as well. Those that
 * are built in have none, so nothing of them is loaded without others.
 * @param words what was typed. @throws QueueError QUEUE_CONFIG_INVALID, QUEUE_PLUGIN_INVALID
 */
export async function pluginCommands(
  words: readonly string[],
  environment: NodeJS.ProcessEnv
): Promise<PluginCommands[]> {
  const { loadSettings } = await import('../config/load.ts')
  const { settings } = loadSettings(settingsInput(await placeFlags(words), environment))
  if (settings.plugin.length === 0) return []
  const [{ builtinPlugins }, { loadPlugins }] = await Promise.all([
    import('../builtin.ts'),
    import('../plugin-loader.ts')
  ])
  const taken = builtinPlugins(settings).map(({ name }) => name)
  return (await loadPlugins(settings.plugin, taken))
    .map(({ plugin: { name, commands = [] } }) => ({ plugin: name, commands: commands.map(withPlaceFlags) }))
    .filter(({ commands }) => commands.length > 0)
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
