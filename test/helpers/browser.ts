import { existsSync } from 'node:fs'
import type { ExecutionContext } from 'ava'
import { type Browser, chromium } from 'playwright-core'
import { skip } from './tools.ts'

/** Where Chromium may be; CHROMIUM names another place. */
const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** One for all tests of a file that run at the same time. */
let shared: Promise<Browser> | undefined
let users = 0

/**
 * A browser without a window; tests that run at the same time share it, and each opens pages of its own. Without
 * Chromium the test is skipped as `needs` does, and undefined is returned.
 * Use: `const browser = await startBrowser(t); if (!browser) return`.
 */
export async function startBrowser(t: ExecutionContext): Promise<Browser | undefined> {
  const executablePath = [process.env.CHROMIUM ?? '', ...PLACES].find(place => existsSync(place))
  if (!executablePath) {
    skip(t, 'needs Chromium (get it: apt-get install chromium, or set CHROMIUM to its path)')
    return undefined
  }
  // its sandbox does not work for root, as whom containers run
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : []
  users += 1
  shared ??= chromium.launch({ executablePath, args })
  const browser = shared
  t.teardown(async () => {
    users -= 1
    if (users > 0) return
    shared = undefined
    await (await browser).close()
  })
  return await browser
}
