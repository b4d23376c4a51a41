import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { startProgram } from './helpers/process.ts'

const PAGE = fileURLToPath(new URL('../../plugins/introspection/README.md', import.meta.url))
const PLUGIN = new URL('../plugins/introspection/plain-aedes.js', import.meta.url)

test('the example beside a plain Aedes does what the page says', async t => {
  const section = readFileSync(PAGE, 'utf8').split('## Beside a plain Aedes')[1] ?? ''
  const example = /```js\n([\s\S]*?)```/.exec(section)?.[1] ?? ''
  t.true(example.split('\n').length <= 10)
  const program = example
    .replace("'restante'", `'${PLUGIN.href}'`)
    .replace('port: 8080', 'port: 0')
    .replace('listen(1883)', 'listen(0)')
  const run = startProgram(t, process.execPath, ['--input-type=module', '--eval', program])
  const url = await run.until(() => /^http.*\/v1\/clients$/m.exec(run.stdout)?.[0], undefined, 'the address')
  const response = await fetch(url)
  t.deepEqual(await response.json(), { clients: [], next: null })
})
