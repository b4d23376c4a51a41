import type { Transport } from './transport.ts'

/** Prints texts, for a first try. */
export function consoleTransport(): Transport {
  return {
    async send({ to, body }) {
      console.log(`text to ${to.name} (${to.phone}): ${body.replaceAll(/\p{Cc}/gu, '?')}`)
    }
  }
}
