/** The library: a server of one's own. Plugins are written against `restante/plugin`. */
export { type AdoptOptions, type Restante, restante } from './adopt.ts'
export {
  type AttachedIntrospection,
  type AttachOptions,
  attachIntrospection,
  builtinPlugins
} from './builtin.ts'
export { loadSettings } from './config/load.ts'
export { defaultSettings, type Settings } from './config/settings.ts'
export type { Control, MessagePublisher } from './control.ts'
export type { Directory } from './directory.ts'
export { ERRORS, type ErrorCode, QueueError } from './errors.ts'
export type { ServerEvents } from './events.ts'
export type { Logger } from './log.ts'
export type { MessageReader } from './messages.ts'
export type { Plugin, PluginContext, PluginParts } from './plugin.ts'
export { loadPlugins } from './plugin-loader.ts'
export { createServer, type QueueServer, type ServerOptions } from './server.ts'
