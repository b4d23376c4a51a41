import type { ArgumentsCamelCase, InferredOptionTypes } from 'yargs'
import { consoleTransport } from './console.ts'
import type { Transport } from './transport.ts'
import { twilioTransport } from './twilio.ts'
import { webhookTransport } from './webhook.ts'

/** Options that choose a transport, for yargs. */
export const transportOptions = {
  transport: {
    choices: ['console', 'webhook', 'twilio'],
    default: 'console',
    describe: 'How texts are sent'
  },
  'webhook-url': { type: 'string', describe: 'webhook: address that texts are posted to' },
  'twilio-url': {
    type: 'string',
    default: 'https://api.twilio.com',
    describe: 'twilio: address of the API, for services with the same'
  },
  'twilio-account': { type: 'string', describe: 'twilio: id of the account (AC…)' },
  'twilio-from': {
    type: 'string',
    describe: 'twilio: number that texts come from, or a messaging service (MG…)'
  }
} as const

/**
 * The transport that was chosen. The password of Twilio is in TWILIO_AUTH_TOKEN.
 * @throws Error that names what is missing.
 */
export function openTransport(
  args: ArgumentsCamelCase<InferredOptionTypes<typeof transportOptions>>
): Transport {
  if (args.transport === 'webhook') return webhookTransport(given(args.webhookUrl, '--webhook-url'))
  if (args.transport === 'console') return consoleTransport()
  return twilioTransport({
    url: args.twilioUrl.replace(/\/$/, ''),
    accountSid: given(args.twilioAccount, '--twilio-account'),
    authToken: given(process.env.TWILIO_AUTH_TOKEN, 'the environment variable TWILIO_AUTH_TOKEN'),
    from: given(args.twilioFrom, '--twilio-from')
  })
}

function given(value: string | undefined, name: string): string {
  if (value) return value
  throw new Error(`this transport needs ${name}`)
}
