import type { Command } from './command.ts'
import { settingOptions, settingsInput } from './setting-flags.ts'

/** `restante start`: a server in the foreground, until SIGTERM or SIGINT. */
export const startCommand: Command = {
  usage: 'start',
  describe: 'Start a server and run it until Ctrl-C (SIGINT) or SIGTERM',
  options: settingOptions(),
  examples: [
    ['restante start', 'MQTT on 1883, HTTP on 8080, data in ./data'],
    ['restante start --store memory', 'nothing is kept: for trying out, and for tests']
  ],
  async run(args) {
    const [{ loadSettings }, { originText }] = await Promise.all([
      import('../config/load.ts'),
      import('../config/origin.ts')
    ])
    const { settings, origins } = loadSettings(settingsInput(args, process.env))
    const [{ createServer }, { builtinPlugins }, { serve }, { pino }] = await Promise.all([
      import('../server.ts'),
      import('../builtin.ts'),
      import('./serve.ts'),
      import('pino')
    ])
    // Logs go to stderr, apart from the first screen; written at once, so that a fatal line is never lost.
    const log = pino({ level: settings.logLevel }, pino.destination({ dest: 2, sync: true }))
    const builtin = builtinPlugins(settings)
    const { loadPlugins, pluginBehind } = await import('../plugin-loader.ts')
    const loaded = await loadPlugins(
      settings.plugin,
      builtin.map(({ name }) => name)
    )
    const plugins = [...builtin, ...loaded.map(({ plugin }) => plugin)]
    for (const name of Object.keys(settings.plugins)) {
      const isLoaded = plugins.some(plugin => plugin.name === name)
      if (!isLoaded) log.warn({ plugin: name }, 'the settings have options for a plugin that is not loaded')
    }
    const pluginsOrigin = originText(origins.plugins)
    const culprit = (error: unknown) => pluginBehind(error, loaded)?.plugin.name
    return serve({ settings, plugins, pluginsOrigin, createServer, log, culprit })
  }
}
