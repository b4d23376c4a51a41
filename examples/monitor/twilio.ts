import { z } from 'zod'
import { ANSWER_MS, RefusedError, type Text, type Transport } from './transport.ts'

/** An account at Twilio, or at a service with the same API. */
export interface TwilioAccount {
  /** Address of the API: `https://api.twilio.com`. */
  readonly url: string
  readonly accountSid: string
  readonly authToken: string
  /** The number that texts come from, or the id of a messaging service (`MG…`). */
  readonly from: string
}

const problemSchema = z.object({ code: z.number().optional(), message: z.string() })
const listSchema = z.object({ messages: z.array(z.object({ body: z.string(), status: z.string() })) })

/** States of a message that will not arrive. */
const LOST_STATES: ReadonlySet<string> = new Set(['failed', 'undelivered', 'canceled'])

/**
 * Sends texts by Twilio's Messages resource. It has no idempotency key; but it lists what was sent to a number,
 * so that a text whose fate is unknown is looked up there first. Each body names its customer by number, which
 * tells the texts apart. (Trial accounts put words before it.)
 */
export function twilioTransport(account: TwilioAccount): Transport {
  const messages = `${account.url}/2010-04-01/Accounts/${encodeURIComponent(account.accountSid)}/Messages.json`
  const authorization = `Basic ${Buffer.from(`${account.accountSid}:${account.authToken}`).toString('base64')}`
  const ask = async (url: string, init: RequestInit = {}): Promise<unknown> => {
    const signal = AbortSignal.timeout(ANSWER_MS)
    const response = await fetch(url, { ...init, headers: { authorization }, signal })
    const answer: unknown = await response.json().catch(() => undefined)
    if (response.ok) return answer
    throw failure(response.status, answer)
  }
  return {
    async send({ to, body }) {
      const sender = account.from.startsWith('MG') ? 'MessagingServiceSid' : 'From'
      const form = new URLSearchParams({ To: to.phone, [sender]: account.from, Body: body })
      await ask(messages, { method: 'POST', body: form })
    },
    async hasSent({ to, body }: Text) {
      const list = listSchema.parse(
        await ask(`${messages}?${new URLSearchParams({ To: to.phone, PageSize: '100' })}`)
      )
      return list.messages.some(message => message.body.endsWith(body) && !LOST_STATES.has(message.status))
    }
  }
}

/**
 * 400 is about this text: a number that is none, somebody who wants no texts. All else may pass: limits, a
 * wrong password, a fault over there.
 */
function failure(status: number, answer: unknown): Error {
  const { data } = problemSchema.safeParse(answer)
  const problem = `Twilio answered ${status}${data ? `: ${data.message}${data.code ? ` (${data.code})` : ''}` : ''}`
  return status === 400 ? new RefusedError(problem) : new Error(problem)
}
