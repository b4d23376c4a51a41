import Module, { register } from 'node:module'
import { fileURLToPath } from 'node:url'

/* Loaded by `node --import` before a test file of the package `aedes`. */

register(new URL('hook.js', import.meta.url))

// `require` does not ask the hook
const SHIM = fileURLToPath(new URL('shim.js', import.meta.url))
const loader = Module as unknown as {
  _resolveFilename(request: string, parent: { filename?: string } | undefined, ...rest: unknown[]): string
}
const resolveFilename = loader._resolveFilename
loader._resolveFilename = (request, parent, ...rest) => {
  const isTest = /[/\\]node_modules[/\\]aedes[/\\]test[/\\][^/\\]+$/.test(parent?.filename ?? '')
  return isTest && request === '../aedes.js' ? SHIM : resolveFilename(request, parent, ...rest)
}
