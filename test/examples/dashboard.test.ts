import test, { type ExecutionContext } from 'ava'
import mqtt from 'mqtt'
import { WebSocket } from 'ws'
import { startBrowser } from '../helpers/browser.ts'
import { startServer } from '../helpers/process.ts'
import { type Api, CreateEvents, runApi, startApi } from './api-server-scene.ts'
import { DashboardPage, layCable, runDashboard, startDashboard } from './dashboard-scene.ts'
import { FAINT_TEXTS } from './faint-texts.ts'

/** Creates customers with the names of these numbers, one after the other. */
async function create(t: ExecutionContext, api: Api, from: number, to: number): Promise<void> {
  for (let number = from; number <= to; number++) {
    const answer = await api.post({ name: `Customer ${number}`, email: `${number}@example.com` })
    t.is(answer.status, 201)
  }
}

test('page starts from the true count, counts what comes, and says who is attached', async t => {
  const browser = await startBrowser(t)
  if (!browser) return
  const { mqttPort, httpPort } = await startServer(t)
  const events = await CreateEvents.subscribe(t, mqttPort)
  const api = await startApi(t, { mqttPort })
  await create(t, api, 1, 3)
  await events.first(3)
  await events.leave()
  const { url } = await startDashboard(t, { apiUrl: api.url, token: api.token, httpPort })
  const shown = await DashboardPage.open(t, browser, url)
  await shown.untilState('live')
  await shown.untilTotal(3)
  await create(t, api, 4, 8)
  await shown.untilTotal(8)
  const { page } = shown
  t.is(await page.title(), '8 customers')
  t.regex((await page.textContent('#latest')) ?? '', /^8 in the last minute, latest: Customer 8 \(/)
  t.regex((await page.getAttribute('#plot', 'aria-label')) ?? '', /^8 created in the last 60 seconds/)
  t.true((await page.locator('#plot rect').count()) >= 1)
  await page.getByLabel('per minute').check()
  await page.waitForSelector('#plot[aria-label^="8 created in the last 60 minutes"]')
  await page.locator('#attached tr', { hasText: /^auditor○ away.*5/ }).waitFor() // what came while it was away
  await page.locator('#attached tr', { hasText: 'this page' }).waitFor()
  await page.locator('#attached-count', { hasText: '2 sessions, 1 of them connected' }).waitFor()
})

test('count stays true when the queue server is killed and starts again', async t => {
  const browser = await startBrowser(t)
  if (!browser) return
  const { mqttPort, httpPort, program, dataDirectory } = await startServer(t)
  const api = await runApi(t, { mqttPort })
  await create(t, api, 1, 2)
  const url = await runDashboard(t, { apiUrl: api.url, token: api.token, httpPort })
  const shown = await DashboardPage.open(t, browser, url)
  await shown.untilState('live')
  await program.kill('SIGKILL')
  await shown.untilState('lost')
  await shown.untilTrouble(/Not connected to the queue server; trying again. The number is the one of/)
  await create(t, api, 3, 5)
  const ports = ['--mqtt-port', String(mqttPort), '--http-port', String(httpPort)]
  await startServer(t, { dataDirectory, args: ports })
  await shown.untilState('live')
  await shown.untilTotal(5)
  await create(t, api, 6, 6)
  await shown.untilTotal(6)
  await shown.page.locator('#trouble').waitFor({ state: 'hidden' })
})

test('count stays true over a connection that is cut, and over events that come again or are none', async t => {
  const browser = await startBrowser(t)
  if (!browser) return
  const { mqttPort, httpPort } = await startServer(t)
  const events = await CreateEvents.subscribe(t, mqttPort)
  const api = await runApi(t, { mqttPort })
  const cable = await layCable(t, httpPort)
  const url = await runDashboard(t, { apiUrl: api.url, token: api.token, httpPort: cable.port })
  const shown = await DashboardPage.open(t, browser, url)
  await shown.untilState('live')
  await shown.untilTotal(0)
  await create(t, api, 1, 2)
  await shown.untilTotal(2)
  cable.cut()
  await shown.untilState('lost')
  await create(t, api, 3, 4)
  await events.first(4)
  cable.mend()
  await shown.untilTotal(4)
  await create(t, api, 5, 5)
  await shown.untilTotal(5)

  const publisher = await mqtt.connectAsync(`mqtt://127.0.0.1:${mqttPort}`)
  t.teardown(() => publisher.endAsync(true))
  for (const customer of await events.first(5)) {
    await publisher.publishAsync('DB/CREATE', JSON.stringify(customer), { qos: 1 })
  }
  await events.leave()
  for (const noCustomer of ['{"id":1}', 'null', 'hello']) {
    await publisher.publishAsync('DB/CREATE', noCustomer, { qos: 1 })
  }
  await create(t, api, 6, 6) // comes behind them
  await shown.page.locator('#latest', { hasText: 'Customer 6' }).waitFor()
  t.is(await shown.page.textContent('#total'), '6')
})

test('page says what is wrong when the API server refuses or is gone', async t => {
  const browser = await startBrowser(t)
  if (!browser) return
  const { mqttPort, httpPort } = await startServer(t)
  const api = await startApi(t, { mqttPort })
  const stranger = await runDashboard(t, { apiUrl: api.url, token: 'unknown', httpPort })
  const refused = await DashboardPage.open(t, browser, stranger)
  await refused.untilTrouble(/The count cannot be read: .* refuses to answer: 401, this token is not known/)

  const url = await runDashboard(t, { apiUrl: api.url, token: api.token, httpPort })
  await api.program.kill('SIGKILL')
  const early = await DashboardPage.open(t, browser, url)
  await early.untilTrouble(/The count cannot be read: the API server at .* does not answer/)
  t.is(await early.page.textContent('#total'), '–')
  await startApi(t, { mqttPort, data: api.data, port: api.port })
  await early.untilState('live')
  await early.untilTotal(0)
})

test('page fits a phone and can be read in light and dark', async t => {
  const browser = await startBrowser(t)
  if (!browser) return
  const { mqttPort, httpPort } = await startServer(t)
  const api = await runApi(t, { mqttPort })
  await CreateEvents.subscribe(
    t,
    mqttPort,
    'a-session-with-a-name-that-is-far-too-long-for-a-phone-of-any-width'
  )
  const url = await runDashboard(t, { apiUrl: api.url, token: api.token, httpPort })
  await create(t, api, 1, 12)
  for (const colorScheme of ['light', 'dark'] as const) {
    const viewport = { width: 360, height: 740 }
    const shown = await DashboardPage.open(t, browser, url, { viewport, colorScheme })
    await shown.untilTotal(12)
    await shown.page.locator('#attached tr', { hasText: 'this page' }).waitFor()
    t.is(await shown.page.evaluate('document.documentElement.scrollWidth'), 360)
    t.deepEqual(await shown.page.evaluate(FAINT_TEXTS), [], colorScheme)
    t.is(await shown.page.locator('[aria-live=polite]').count(), 1)
  }
})

test('pages of others may not use the dashboard, nor its way to the queue server', async t => {
  const { mqttPort, httpPort } = await startServer(t)
  const api = await runApi(t, { mqttPort })
  const url = await runDashboard(t, { apiUrl: api.url, token: api.token, httpPort })
  t.is((await fetch(`${url}/api/count`, { headers: { origin: url } })).status, 200)
  t.is((await fetch(`${url}/api/count`, { headers: { origin: 'http://evil.example' } })).status, 403)
  t.is((await fetch(`${url}/page/..%2f..%2fmain.ts`)).status, 404)
  const upgrade = (origin: string) =>
    new Promise(resolve => {
      const socket = new WebSocket(`${url.replace('http', 'ws')}/mqtt`, ['mqtt'], { origin })
      socket.on('open', () => resolve(socket.terminate() ?? 101))
      socket.on('unexpected-response', (_request, answer) => resolve(answer.destroy().statusCode))
    })
  t.is(await upgrade(url), 101)
  t.is(await upgrade('http://evil.example'), 403)
})
