import { spawn } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { MAIN } from './helpers/process.ts'
import { needs } from './helpers/tools.ts'

for (const { answer, does } of [
  { answer: 'y', does: true },
  { answer: 'yes', does: true },
  { answer: '', does: false },
  { answer: 'no', does: false }
]) {
  test(`on a terminal a purge asks first; ${JSON.stringify(answer)} means ${does ? 'yes' : 'no'}`, async t => {
    if (!needs(t, 'script')) return
    const { base, requests } = await startSession(t)
    const { code, output } = await typeInto(
      t,
      `${process.execPath} ${MAIN} purge logger --http ${base}`,
      answer
    )
    t.regex(output, /Drop what logger has still to receive\? \[y\/N\] /)
    t.deepEqual(requests, does ? ['DELETE /v1/sessions/logger/messages'] : [])
    t.is(code, does ? 0 : 1)
    t.regex(output, does ? /purged logger; 3 messages dropped/ : /nothing was done/)
  })
}

/** Runs a command on a terminal of its own, and types an answer once it asks. */
function typeInto(
  t: ExecutionContext,
  command: string,
  answer: string
): Promise<{ code: number | null; output: string }> {
  const child = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'ignore'] })
  t.teardown(() => {
    child.kill('SIGKILL')
  })
  let output = ''
  let hasTyped = false
  child.stdin.on('error', () => {}) // it may end without reading
  child.stdout.setEncoding('utf8').on('data', text => {
    output += text
    if (hasTyped || !output.includes('[y/N] ')) return
    hasTyped = true
    child.stdin.write(`${answer}\n`)
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', code => resolve({ code, output }))
  })
}

async function startSession(t: ExecutionContext) {
  const requests: string[] = []
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    response.end(JSON.stringify({ dropped: 3 }))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return { base: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests }
}
