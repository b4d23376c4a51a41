import { connect } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { startRedis } from '../helpers/redis.ts'
import { Signal } from '../helpers/signal.ts'

test('a Redis answers, pauses, ends, and comes back on its port', async t => {
  const redis = await startRedis(t)
  if (!redis) return
  t.is(redis.url, `redis://127.0.0.1:${redis.port}`)
  const first = new Asker(t, redis.port)
  t.is(await first.ask('SET key value'), '+OK')
  redis.pause()
  first.send('GET key')
  const late = first.answer()
  redis.resume()
  t.is(await late, '$5')
  await redis.stop()
  await first.closed()
  await redis.restart()
  const second = new Asker(t, redis.port)
  t.is(await second.ask('EXISTS key'), ':0')
})

test('two of them run beside each other', async t => {
  const first = await startRedis(t)
  const second = first && (await startRedis(t))
  if (!first || !second) return
  t.is(await new Asker(t, first.port).ask('SET key value'), '+OK')
  t.is(await new Asker(t, second.port).ask('EXISTS key'), ':0')
})

/** Speaks the inline form of the protocol and reads the first line of each answer. */
class Asker {
  readonly #socket: ReturnType<typeof connect>
  readonly #signal = new Signal()
  #text = ''
  #isClosed = false

  constructor(t: ExecutionContext, port: number) {
    this.#socket = connect(port, '127.0.0.1')
    t.teardown(() => this.#socket.destroy())
    this.#socket.on('error', () => {}) // 'close' comes as well
    this.#socket.on('data', (bytes: Buffer) => {
      this.#text += bytes.toString()
      this.#signal.notify()
    })
    this.#socket.on('close', () => {
      this.#isClosed = true
      this.#signal.notify()
    })
  }

  send(command: string): void {
    this.#text = ''
    this.#socket.write(`${command}\r\n`)
  }

  answer(): Promise<string> {
    const line = () => (this.#text.includes('\r\n') ? this.#text.split('\r\n')[0] : undefined)
    return this.#signal.until(line, { describe: () => `read ${JSON.stringify(this.#text)}` })
  }

  ask(command: string): Promise<string> {
    this.send(command)
    return this.answer()
  }

  async closed(): Promise<void> {
    await this.#signal.until(() => this.#isClosed, { describe: () => 'the connection is open' })
  }
}
