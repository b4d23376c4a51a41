import type { ResolveHook } from 'node:module'

const STANDS_IN: Readonly<Record<string, string>> = {
  '../aedes.js': new URL('shim.js', import.meta.url).href,
  'node:test': new URL('timed-test.js', import.meta.url).href
}

/** Module loader hook: the tests that ship in the package `aedes` get the adopted broker in place of the plain one. */
export const resolve: ResolveHook = (specifier, context, nextResolve) => {
  const isTest = /\/node_modules\/aedes\/test\/[^/]+$/.test(context.parentURL ?? '')
  const url = isTest ? STANDS_IN[specifier] : undefined
  return url ? { url, shortCircuit: true } : nextResolve(specifier, context)
}
