import test from 'ava'
import { InboxScene } from '../helpers/client-inbox.ts'

/* Alone in its file: it replaces the clock of the process. */

test('message that becomes due while the inbox looks is not forgotten', async t => {
  const systemNow = Date.now
  let time = systemNow()
  Date.now = () => ++time // it is later at each look
  t.teardown(() => {
    Date.now = systemNow
  })
  for (let delayMs = 0; delayMs < 6; delayMs++) {
    const scene = new InboxScene({ isDurable: false, retry: { minMs: delayMs, maxMs: delayMs } })
    scene.rejects.add('a')
    scene.receive(1, 'a')
    await scene.until(() => scene.errors.length === 50)
    scene.inbox.close()
  }
  t.pass()
})
