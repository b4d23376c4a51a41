import { writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { createDashboard } from '../../examples/dashboard/server.ts'
import { type Program, startProgram, testFolder } from '../helpers/process.ts'
import { DEADLINE_MS } from '../helpers/signal.ts'

/** The compiled program. */
export const DASHBOARD = fileURLToPath(new URL('../../examples/dashboard/main.js', import.meta.url))

/** A running dashboard. */
export interface Dashboard {
  readonly program: Program
  readonly url: string
}

/** Where a dashboard asks. */
export interface DashboardPlaces {
  readonly apiUrl: string
  readonly token: string
  readonly httpPort: number
}

/** Starts the dashboard as a process of its own and waits until it listens. */
export async function startDashboard(t: ExecutionContext, places: DashboardPlaces): Promise<Dashboard> {
  const tokenFile = join(testFolder(t), 'token')
  writeFileSync(tokenFile, `${places.token}\n`)
  const program = startProgram(t, process.execPath, [
    DASHBOARD,
    ...['--port', '0', '--token-file', tokenFile, '--api-url', places.apiUrl],
    ...['--queue-url', `http://127.0.0.1:${places.httpPort}`]
  ])
  const url = await program.until(() => {
    if (program.exit) throw new Error(`the dashboard did not start: ${program.story()}`)
    return /^dashboard: (\S+)\n/m.exec(program.stdout)?.[1]
  })
  return { program, url }
}

/** Runs a dashboard in this process, for tests that do not kill it. */
export async function runDashboard(t: ExecutionContext, places: DashboardPlaces): Promise<string> {
  const { apiUrl, token, httpPort } = places
  const queueUrl = `http://127.0.0.1:${httpPort}`
  const app = createDashboard({ apiUrl, token, queueUrl, allowedHosts: [] })
  t.teardown(() => app.close())
  return await app.listen({ host: '127.0.0.1', port: 0 })
}

/** The page of a dashboard in a browser; what goes wrong in it fails the test. */
export class DashboardPage {
  readonly page: Page

  private constructor(page: Page) {
    this.page = page
  }

  /** Opens the page and does not wait for anything in it. */
  static async open(
    t: ExecutionContext,
    browser: Browser,
    url: string,
    options: BrowserContextOptions = {}
  ): Promise<DashboardPage> {
    const page = await browser.newPage(options)
    page.setDefaultTimeout(DEADLINE_MS)
    page.on('pageerror', error => t.fail(`the page failed: ${error.stack ?? error}`))
    await page.goto(url)
    return new DashboardPage(page)
  }

  /** Waits until the page says that it is live, or not connected. */
  async untilState(state: 'live' | 'lost'): Promise<void> {
    await this.page.waitForSelector(`#status[data-state=${state}]`)
  }

  /** Waits until the page shows this number. */
  async untilTotal(total: number): Promise<void> {
    const shown = this.page.locator('#total', { hasText: new RegExp(`^${total}$`) })
    await shown.waitFor().catch(async error => {
      throw new Error(`the page shows ${await this.page.textContent('#total')}, not ${total}: ${error}`)
    })
  }

  /** What the page says to be wrong, once it matches. */
  async untilTrouble(pattern: RegExp): Promise<void> {
    await this.page.locator('#trouble', { hasText: pattern }).waitFor()
  }
}

/** A way to a port that can be cut. */
export interface Cable {
  readonly port: number
  /** Ends all connections and takes none until `mend`. */
  cut(): void
  mend(): void
}

/** Puts a cable before a port of this machine. */
export async function layCable(t: ExecutionContext, target: number): Promise<Cable> {
  const sockets = new Set<Socket>()
  let isCut = false
  const server = createServer(near => {
    if (isCut) {
      near.destroy()
      return
    }
    const far = connect(target, '127.0.0.1')
    for (const [one, other] of [
      [near, far],
      [far, near]
    ] as const) {
      sockets.add(one)
      one.on('error', () => {})
      one.on('close', () => {
        sockets.delete(one)
        other.destroy()
      })
      one.pipe(other)
    }
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const end = () => {
    for (const socket of sockets) socket.destroy()
  }
  t.teardown(() => {
    server.close()
    end()
  })
  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      isCut = true
      end()
    },
    mend() {
      isCut = false
    }
  }
}
