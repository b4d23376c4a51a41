import { Client } from '../../src/client/index.ts' // in a project of your own: from 'restante/client'

/** Options of a program that follows the queue server, for yargs. */
export function followOptions(clientId: string) {
  return {
    'queue-url': {
      alias: 'url',
      type: 'string',
      default: 'mqtt://localhost:1883',
      describe: 'MQTT address of the queue server'
    },
    'client-id': {
      type: 'string',
      default: clientId,
      describe: 'Name of its session there: what comes while the program is away is kept for it'
    }
  } as const
}

/** A client with a durable session that waits for its server as long as it takes. */
export function durableClient(url: string, clientId: string): Client {
  return new Client(url, {
    clientId,
    session: 'durable',
    openTimeoutMs: Number.POSITIVE_INFINITY,
    reconnect: { maxMs: 5_000 },
    retry: { minMs: 500, maxMs: 30_000 }
  })
}
