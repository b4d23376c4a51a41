import test from 'ava'
import { MoveProgress } from '../src/commands/move-progress.ts'

/** What is written for steps at these times, in milliseconds. */
function shown(
  isTTY: boolean,
  steps: readonly (readonly [what: string, done: number, atMs: number])[]
): string {
  let text = ''
  let nowMs = 0
  const screen = {
    isTTY,
    write: (part: string) => {
      text += part
    }
  }
  const progress = new MoveProgress(screen, () => nowMs)
  for (const [what, done, atMs] of steps) {
    nowMs = atMs
    progress.show(what, done, 200)
  }
  progress.end()
  return text
}

test('progress is a line every few seconds where the output is no terminal', t => {
  const steps = [
    ['messages', 1, 0],
    ['messages', 20, 4_999],
    ['messages', 30, 5_000],
    ['messages', 200, 5_001],
    ['check', 1, 5_002]
  ] as const
  t.is(
    shown(false, steps),
    'messages: 1 of 200 (0 %)\nmessages: 30 of 200 (15 %)\nmessages: 200 of 200 (100 %)\ncheck: 1 of 200 (0 %)\n'
  )
})

test('progress is one line that changes on a terminal, and a new one for what comes next', t => {
  const steps = [
    ['messages', 1, 0],
    ['messages', 20, 50],
    ['messages', 30, 100],
    ['check', 1, 101]
  ] as const
  t.is(
    shown(true, steps),
    '\r\u001b[Kmessages: 1 of 200 (0 %)\r\u001b[Kmessages: 30 of 200 (15 %)\n\r\u001b[Kcheck: 1 of 200 (0 %)\n'
  )
})
