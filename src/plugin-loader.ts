import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { errorText, QueueError } from './errors.ts'
import type { Plugin } from './plugin.ts'

const NAME = /^[a-z][a-z0-9-]{0,63}$/
const TYPESCRIPT = /\.[cm]?ts$/
/** What looks like a file; all else is the name of a package. */
const FILE = /^\.{0,2}[/\\]|^[A-Za-z]:[/\\]|\.[cm]?[jt]s$/

/** A plugin that was loaded, and the file it came from. */
export interface LoadedPlugin {
  readonly plugin: Plugin
  /** Absolute path, as it stands in stack traces. */
  readonly file: string
}

/**
 * Loads plugins that are not built in. The default export of a module is the plugin, or a list of plugins.
 * @param modules files (`./stamp.ts`, `.js`), relative to `folder`, or names of packages installed there.
 * @param taken names of plugins that there are already.
 * @throws QueueError QUEUE_PLUGIN_INVALID, which names the module or the plugin and what is wrong with it.
 */
export async function loadPlugins(
  modules: readonly string[],
  taken: readonly string[] = [],
  folder = process.cwd()
): Promise<LoadedPlugin[]> {
  const loaded: LoadedPlugin[] = []
  const names = new Set(taken)
  for (const name of modules) {
    const file = fileOf(name, folder)
    const found = pluginsIn(name, await load(name, file))
    for (const plugin of found) {
      if (names.has(plugin.name)) throw invalid(name, `there is another plugin with the name ${plugin.name}`)
      names.add(plugin.name)
      loaded.push({ plugin, file })
    }
  }
  return loaded
}

/**
 * The plugin in whose file an error came up that nobody has caught; undefined when it came from elsewhere.
 * @param error anything thrown.
 */
export function pluginBehind(error: unknown, loaded: readonly LoadedPlugin[]): LoadedPlugin | undefined {
  const stack = error instanceof Error ? (error.stack ?? '') : ''
  // the first file that is not Node's own: what a plugin has called into is not its fault
  const place = stack.split('\n').find(line => /^\s+at /.test(line) && !line.includes('node:'))
  return place === undefined ? undefined : loaded.find(({ file }) => place.includes(file))
}

function fileOf(name: string, folder: string): string {
  if (FILE.test(name)) return resolve(folder, name)
  try {
    return createRequire(resolve(folder, 'package.json')).resolve(name)
  } catch (cause) {
    throw invalid(name, `there is no such package here (a file begins with ./): ${errorText(cause)}`, cause)
  }
}

async function load(name: string, file: string): Promise<Record<string, unknown>> {
  try {
    // Node 22.18 and later read TypeScript themselves
    const { typescript } = process.features as { typescript?: string | false }
    const isNative = !TYPESCRIPT.test(file) || typescript
    if (isNative) return (await import(pathToFileURL(file).href)) as Record<string, unknown>
    const { createJiti } = await import('jiti')
    return await createJiti(import.meta.url).import<Record<string, unknown>>(file)
  } catch (cause) {
    throw invalid(name, `cannot be loaded: ${errorText(cause).split('\n')[0]}`, cause)
  }
}

function pluginsIn(name: string, module: Record<string, unknown>): Plugin[] {
  const found = module.default ?? module.plugin
  if (found === undefined)
    throw invalid(name, 'has no default export: expected the plugin, or a list of plugins')
  const plugins = Array.isArray(found) ? found : [found]
  for (const plugin of plugins) {
    const problem = shapeProblem(plugin)
    if (problem) throw invalid(name, `does not export a plugin: ${problem}`)
  }
  return plugins as Plugin[]
}

function shapeProblem(plugin: unknown): string | null {
  if (typeof plugin !== 'object' || plugin === null) return `expected an object, found ${typeof plugin}`
  const { name, schema, setup, commands = [], after = [] } = plugin as Record<string, unknown>
  if (typeof name !== 'string' || !NAME.test(name)) {
    return `its name is ${JSON.stringify(name)}, expected lower-case letters, digits and dashes`
  }
  if (typeof schema !== 'object' || schema === null) {
    return `${name} has no schema: expected the JSON Schema of its options, such as {"type": "object"}`
  }
  if (typeof setup !== 'function') return `${name} has no function setup`
  if (!Array.isArray(after) || after.some(other => typeof other !== 'string')) {
    return `${name}.after is no list of names`
  }
  return Array.isArray(commands) ? null : `${name}.commands is no list`
}

function invalid(plugin: string, problem: string, cause?: unknown): QueueError {
  return new QueueError('QUEUE_PLUGIN_INVALID', { cause, detail: { plugin, problem } })
}
