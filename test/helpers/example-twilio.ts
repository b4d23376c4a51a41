import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ExecutionContext } from 'ava'
import { Signal } from './signal.ts'

/** A text that the service has taken. */
export interface TakenText {
  readonly to: string
  readonly from: string
  readonly body: string
}

/** What becomes of a request to send: taken, refused with a status, taken without an answer, lost. */
export type Fate = 'take' | number | 'take-silently' | 'take-and-hang-up' | 'lose'

const ACCOUNT = 'AC0123'
const TOKEN = 'secret'

/** A pretended Twilio: the Messages resource, to send and to list. */
export class FakeTwilio {
  readonly taken: TakenText[] = []
  /** Requests to send, whatever became of them. */
  requests = 0
  /** Requests to list. */
  lists = 0
  /** Decides about a request. */
  fateOf: (to: string, request: number) => Fate = () => 'take'
  url = ''
  readonly #signal = new Signal()

  /** Options of the monitor for this service. */
  get args(): string[] {
    const from = ['--twilio-from', '+15550100000']
    return ['--transport', 'twilio', '--twilio-url', this.url, '--twilio-account', ACCOUNT, ...from]
  }

  get env(): Record<string, string> {
    return { TWILIO_AUTH_TOKEN: TOKEN }
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    const describe = () => `${what}; ${this.requests} requests, taken ${JSON.stringify(this.taken)}`
    await this.#signal.until(condition, { describe })
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://twilio')
    const authorization = `Basic ${Buffer.from(`${ACCOUNT}:${TOKEN}`).toString('base64')}`
    let body = ''
    for await (const chunk of request) body += chunk
    if (request.headers.authorization !== authorization) return reply(response, 401, 20_003, 'Authenticate')
    if (url.pathname !== `/2010-04-01/Accounts/${ACCOUNT}/Messages.json`)
      return reply(response, 404, 20_404, 'not found')
    if (request.method === 'GET') this.#list(url.searchParams.get('To'), response)
    else this.#send(new URLSearchParams(body), response)
    this.#signal.notify()
  }

  #list(to: string | null, response: ServerResponse): void {
    this.lists += 1
    const messages = this.taken.filter(text => text.to === to).map(({ body }) => ({ body, status: 'sent' }))
    response.end(JSON.stringify({ messages: messages.reverse() }))
  }

  #send(form: URLSearchParams, response: ServerResponse): void {
    this.requests += 1
    const [to, from, body] = ['To', 'From', 'Body'].map(name => form.get(name) ?? '')
    const fate = this.fateOf(to!, this.requests)
    if (typeof fate === 'string' && fate.startsWith('take'))
      this.taken.push({ to: to!, from: from!, body: body! })
    if (typeof fate === 'number') reply(response, fate, 21_211, 'no such luck')
    else if (fate === 'take-and-hang-up') response.destroy()
    else if (fate === 'take') {
      response.statusCode = 201
      response.end(JSON.stringify({ sid: `SM${this.requests}`, status: 'queued' }))
    }
  }
}

function reply(response: ServerResponse, status: number, code: number, message: string): void {
  response.statusCode = status
  response.end(JSON.stringify({ code, message, status }))
}

/** Starts one; it is stopped when the test ends. */
export async function startFakeTwilio(t: ExecutionContext): Promise<FakeTwilio> {
  const twilio = new FakeTwilio()
  const server = createServer((request, response) => void twilio.answer(request, response))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  twilio.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return twilio
}
