import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { stripVTControlCharacters } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { fitLines } from '../src/commands/watch.ts'
import { startCommand } from './helpers/cli-process.ts'
import { MAIN, type Program, startProgram } from './helpers/process.ts'
import { needs } from './helpers/tools.ts'

const FAST = ['--watch', '0.1']

test('a watched list is printed again and again, until Ctrl-C ends it well', async t => {
  const { base, show } = await startSubscriptions(t)
  const command = startCommand(t, ['subscriptions', ...FAST, '--http', base])
  await command.output(/^first +DB/m)
  show('second')
  await command.output(/^second +DB/m)
  command.child.kill('SIGINT')
  const { code, stdout } = await command.outcome
  t.is(code, 0)
  t.false(stdout.includes('\u001b'))
})

test('a watched list as JSON is one document a line', async t => {
  const { base, show } = await startSubscriptions(t)
  const command = startCommand(t, ['subscriptions', '--json', ...FAST, '--http', base])
  await command.output(/first/)
  show('second')
  await command.output(/second.*\n/)
  command.child.kill('SIGINT')
  const { code, stdout } = await command.outcome
  t.is(code, 0)
  const documents = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as { subscriptions: { client: string }[] })
  t.is(documents[0]?.subscriptions[0]?.client, 'first')
  t.is(documents.at(-1)?.subscriptions[0]?.client, 'second')
})

test('a server that goes away is told once and waited for', async t => {
  const { base, show, stop, restart } = await startSubscriptions(t)
  const command = startCommand(t, ['subscriptions', ...FAST, '--http', base])
  await command.output(/first/)
  await stop()
  await new Promise<void>(resolve => command.child.stderr!.once('data', () => resolve()))
  show('second')
  await restart()
  await command.output(/second/)
  command.child.kill('SIGINT')
  const { code, stderr } = await command.outcome
  t.is(code, 0)
  t.regex(stderr, /^restante: \S.*; asking again every 0\.1 s\nrestante: the server is back\n$/)
})

test('a server that cannot answer for a while is told once, however often it is asked', async t => {
  const { base, show, refuse } = await startSubscriptions(t)
  const command = startCommand(t, ['subscriptions', ...FAST, '--http', base])
  await command.output(/first/)
  await refuse(4)
  show('second')
  await command.output(/second/)
  command.child.kill('SIGINT')
  const { code, stderr } = await command.outcome
  t.is(code, 0)
  t.is(stderr.split('asking again').length - 1, 1, stderr)
  t.regex(stderr, /the store failed \(HTTP status 503\)/)
})

test('a server that is not there at the start is a failure, watched or not', async t => {
  const { base, stop } = await startSubscriptions(t)
  await stop()
  const { code, stderr } = await startCommand(t, ['subscriptions', ...FAST, '--http', base]).outcome
  t.is(code, 1)
  t.regex(stderr, /^restante: nothing listens at /)
})

test('--watch alone is every two seconds', async t => {
  const { base } = await startSubscriptions(t)
  const command = startCommand(t, ['subscriptions', '--http', base, '--watch'])
  await command.output(/first/)
  command.child.kill('SIGTERM')
  t.is((await command.outcome).code, 0)
})

test('on a terminal a watched list is drawn in its place, and fits the width', async t => {
  if (!needs(t, 'script', 'stty')) return
  const { base, show } = await startSubscriptions(t)
  show(`long ${'x'.repeat(200)}`)
  const program = onTerminal(t, ['subscriptions', '--http', base, ...FAST], { columns: 50, rows: 10 })
  await program.until(() => program.stdout.includes('…'), undefined, 'a shortened text')
  show('second')
  await program.until(() => /second +DB/.test(program.stdout), undefined, 'the second drawing')
  // the terminal sends Ctrl-C as SIGINT to the command; here the command alone gets it
  const drawings = program.stdout.split('\u001b[J').slice(1)
  t.true(drawings.length >= 2)
  t.true(program.stdout.includes('\u001b[2A\r\u001b[J'), 'goes up by the two lines of the drawing before')
  for (const line of drawings[0]!.split('\r\n')) {
    t.true(stripVTControlCharacters(line).length <= 50, JSON.stringify(line))
  }
})

test('lines that do not fit a terminal are counted, and cut', t => {
  const lines = Array.from({ length: 9 }, (_, i) => `line ${i}`)
  t.deepEqual(fitLines(lines, { width: 80, height: 10 }), lines)
  t.deepEqual(fitLines(lines, { width: 80, height: 5 }), ['line 0', 'line 1', 'line 2', '… and 6 more lines'])
  t.deepEqual(fitLines(['abcdef', 'abc'], { width: 4, height: 9 }), ['abc…', 'abc'])
})

/** Runs the command on a terminal of its own. */
function onTerminal(
  t: ExecutionContext,
  words: readonly string[],
  { columns, rows }: { columns: number; rows: number }
): Program {
  const line = [process.execPath, MAIN, ...words].map(word => `'${word}'`).join(' ')
  return startProgram(t, 'script', [
    ...['-qec', `stty cols ${columns} rows ${rows}; exec ${line}`],
    '/dev/null'
  ])
}

/** A server that has one subscription, of the client that was shown last. */
async function startSubscriptions(t: ExecutionContext) {
  let client = 'first'
  let server: Server
  let port = 0
  let refusals = 0
  let refused = () => {}
  const restart = async (): Promise<void> => {
    server = createServer((_, response) => {
      if (refusals > 0) {
        if (--refusals === 0) refused()
        response.writeHead(503).end(JSON.stringify({ detail: 'the store failed' }))
        return
      }
      const row = {
        client,
        filter: 'DB/x',
        queue: 'DB',
        event: 'x',
        qos: 1,
        connected: true,
        createdAt: null
      }
      response.end(JSON.stringify({ subscriptions: [row], next: null }))
    })
    await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve))
    port = (server.address() as AddressInfo).port
  }
  const stop = async (): Promise<void> => {
    server.closeAllConnections()
    await new Promise<void>(resolve => server.close(() => resolve()))
  }
  /** Answers so many requests with 503; resolves with the last. */
  const refuse = (times: number): Promise<void> =>
    new Promise(resolve => {
      refusals = times
      refused = resolve
    })
  await restart()
  t.teardown(stop)
  const show = (next: string): void => {
    client = next
  }
  return { base: `http://127.0.0.1:${port}`, show, stop, restart, refuse }
}
