import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { startBrowser } from '../helpers/browser.ts'
import { openClient } from '../helpers/client-scene.ts'
import { startServer } from '../helpers/process.ts'

const CLIENT = fileURLToPath(new URL('../../src/client/', import.meta.url))
const MQTT = fileURLToPath(new URL('../dist/mqtt.esm.js', import.meta.resolve('mqtt')))

const PAGE = `<!doctype html>
<script type="importmap">{"imports": {"mqtt": "/mqtt.js", "restante/client": "/client/index.js"}}</script>
<script type="module">
  import { Client } from 'restante/client'
  const client = new Client(new URLSearchParams(location.search).get('url'), {
    clientId: 'page', reconnect: { minMs: 5 }, retry: { minMs: 5 }
  })
  window.notes = []
  client.listen('error', error => notes.push(error.code))
  await client.on('DB', 'CREATE', async ({ payload, attempt, bytes }) => {
    notes.push(payload.id + ' ' + attempt + ' ' + (bytes instanceof Uint8Array))
    if (payload.id === 2 && attempt === 1) throw new Error('not yet')
    await client.publish('DONE', 'CREATE', { id: payload.id })
  })
  await client.open()
  window.client = client
  window.isOpen = true
</script>`

async function servePage(t: ExecutionContext): Promise<string> {
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://page').pathname
    const isScript = path.endsWith('.js')
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
    if (path === '/mqtt.js') response.end(readFileSync(MQTT))
    else if (path.startsWith('/client/')) response.end(readFileSync(`${CLIENT}${path.slice(8)}`))
    else response.end(PAGE)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`
}

test('page in a browser subscribes and publishes with an import map alone', async t => {
  const browser = await startBrowser(t)
  if (!browser) return
  const origin = await servePage(t)
  const server = await startServer(t, { store: 'memory', args: ['--allowed-origins', origin] })
  const { client, log } = await openClient(t, `mqtt://127.0.0.1:${server.mqttPort}`)
  await client.on<{ id: number }>('DONE', 'CREATE', ({ payload }) => log.note(`done ${payload.id}`))
  const page = await browser.newPage()
  const failures: string[] = []
  page.on('pageerror', error => failures.push(String(error)))
  await page.goto(`${origin}/?url=ws://127.0.0.1:${server.httpPort}/mqtt`)
  await page.waitForFunction('window.isOpen')
  for (const id of [1, 2, 3]) await client.publish('DB', 'CREATE', { id })
  await log.noted(3)
  await page.evaluate('client.close()')
  t.deepEqual(log.notes, ['done 1', 'done 2', 'done 3'])
  t.deepEqual(await page.evaluate('notes'), [
    '1 1 true',
    '2 1 true',
    'CLIENT_HANDLER_REJECTED',
    '2 2 true',
    '3 1 true'
  ])
  t.deepEqual(failures, [])
})
