import { readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The files that the page is made of: path in the address -> path on the disk. Nothing else can be asked for. */
export function pageFiles(): ReadonlyMap<string, string> {
  const require = createRequire(import.meta.url)
  const project = dirname(require.resolve('restante/package.json'))
  const page = join(project, 'examples/dashboard/page') // served as it is written: there is no build step
  const client = fileURLToPath(new URL('../../src/client/', import.meta.url)) // compiled, for the import map
  return new Map([
    ['/', join(page, 'index.html')],
    ...filesOf(page, '/page', /\.(js|css)$/),
    ...filesOf(client, '/client', /\.js$/),
    ['/mqtt.js', require.resolve('mqtt/dist/mqtt.esm')]
  ])
}

/** Media type by the end of a file's name. */
export const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8'
}

function filesOf(folder: string, path: string, names: RegExp): [string, string][] {
  return readdirSync(folder)
    .filter(name => names.test(name))
    .map(name => [`${path}/${name}`, join(folder, name)])
}
