import { setTimeout as delay } from 'node:timers/promises'
import { styleText } from 'node:util'
import type { Child, Listener } from './child.ts'
import { createCustomer } from './customers.ts'
import { type Ports, type Programs, startPrograms } from './programs.ts'

/** In each round of so many customers the logger and the monitor are away for a third of it. */
const ROUND = 30

/** How long, how fast, and where. */
export interface Plan extends Ports {
  readonly customers?: number | undefined
  readonly intervalMs: number
}

function bold(text: string): string {
  return process.stdout.isTTY ? styleText('bold', text) : text
}

/** Prints a line of what happens. */
type Say = (name: string, line: string) => void

/** Starts everything and creates customers, until there are enough of them. */
export async function story(
  data: string,
  plan: Plan,
  children: Child[],
  listener: Listener,
  say: Say
): Promise<void> {
  const programs = await startPrograms(data, plan, children, listener)
  say('server', `${programs.mqttUrl} ${programs.queueUrl}`)
  say('demo', bold(`open ${programs.dashboardUrl} in a browser; Ctrl-C ends everything`))
  const { customers = Number.POSITIVE_INFINITY, intervalMs } = plan
  const round = Math.min(customers, ROUND)
  for (let created = 1; created <= customers && !listener.ending.aborted; created++) {
    const { name, number } = await createCustomer(programs.apiUrl, programs.token)
    say('demo', `created ${name} (${number})`)
    const step = created % round
    if (step === Math.floor(round / 3)) await goAway(programs, say)
    if (step === Math.floor((round * 2) / 3)) await catchUp(programs, say)
    await delay(intervalMs, undefined, { ref: false })
  }
  if (listener.ending.aborted) return
  await untilHandled(programs)
  say('demo', `all ${customers} customers are logged, and everybody has been texted`)
}

async function goAway({ leave }: Programs, say: Say): Promise<void> {
  say('demo', bold('logger and monitor go away; what is created now waits for them'))
  await leave()
}

async function catchUp(programs: Programs, say: Say): Promise<void> {
  await untilAnnounced(programs)
  const [logger, monitor] = await waiting(programs)
  const text = `logger and monitor come back; waiting for the logger: ${logger}, for the monitor: ${monitor}`
  say('demo', bold(text))
  await programs.comeBack()
}

/** Waits until the queue server has the events of all customers. */
async function untilAnnounced({ apiUrl }: Programs): Promise<void> {
  while (((await ask(`${apiUrl}/health`)) as { pending: boolean }).pending) await delay(100)
}

/** Waits until the logger and the monitor have handled all customers. */
async function untilHandled(programs: Programs): Promise<void> {
  await untilAnnounced(programs)
  while ((await waiting(programs)).some(count => count > 0)) await delay(100)
}

async function ask(url: string): Promise<unknown> {
  return await (await fetch(url)).json()
}

/** How many events wait for the logger and for the monitor, as the queue server tells. */
function waiting({ queueUrl }: Programs): Promise<number[]> {
  return Promise.all(
    ['logger', 'monitor'].map(async id => {
      const session = (await ask(`${queueUrl}/v1/sessions/${id}`)) as { backlog: number; inflight: number }
      return session.backlog + session.inflight
    })
  )
}
