/** The library: a server of one's own. Plugins are written against `restante/plugin`. */
export { builtinPlugins } from './builtin.ts'
export { loadSettings } from './config/load.ts'
export { defaultSettings, type Settings } from './config/settings.ts'
export type { Directory } from './directory.ts'
export { ERRORS, type ErrorCode, QueueError } from './errors.ts'
export type { Logger } from './log.ts'
export type { Plugin, PluginContext, PluginParts } from './plugin.ts'
export { createServer, type QueueServer, type ServerOptions } from './server.ts'
