#!/usr/bin/env node
/* A web page that counts created customers as they come, over MQTT on WebSocket. */
import { readFileSync } from 'node:fs'
import yargs, { type ArgumentsCamelCase, type InferredOptionTypes } from 'yargs'
import { hideBin } from 'yargs/helpers'
import { failAs } from '../shared/fail.ts'
import { createDashboard } from './server.ts'

const options = {
  host: { type: 'string', default: '127.0.0.1', describe: 'Address to listen on' },
  port: { type: 'number', default: 3001, describe: 'Port to listen on; 0 takes any free one' },
  'api-url': { type: 'string', default: 'http://localhost:3000', describe: 'Address of the API server' },
  'token-file': {
    type: 'string',
    demandOption: true,
    describe: 'File with a token for the API server, with the right customers:read'
  },
  'queue-url': {
    type: 'string',
    default: 'http://localhost:8080',
    describe: 'HTTP address of the queue server; MQTT over WebSocket is at /mqtt there'
  },
  'allowed-hosts': {
    type: 'string',
    array: true,
    default: [] as string[],
    describe: 'Names by which browsers call the dashboard, besides localhost and addresses'
  }
} as const

await yargs(hideBin(process.argv))
  .scriptName('dashboard')
  .command('$0', 'Serve a web page that counts created customers live', options, serve)
  .example('api-server add-user dashboard --rights customers:read --token-file dashboard.token', '')
  .example('$0 --token-file dashboard.token', 'then open http://localhost:3001')
  .epilogue(
    'Browsers need to reach only this address: the program hands their WebSockets on to the queue server, ' +
      'and takes them from its own page only. So the queue server has no origin to allow (--allowed-origins).'
  )
  .strict()
  .version(false)
  .fail(failAs('dashboard'))
  .wrap(100)
  .parseAsync()

async function serve(args: ArgumentsCamelCase<InferredOptionTypes<typeof options>>): Promise<void> {
  const { host, port, tokenFile, ...sources } = args
  const app = createDashboard({ ...sources, token: readToken(tokenFile) })
  console.log(`dashboard: ${await app.listen({ host, port })}`)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void app.close())
}

function readToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (cause) {
    const command = `api-server add-user dashboard --rights customers:read --token-file ${file}`
    throw new Error(`${(cause as Error).message}; make it with: ${command}`, { cause })
  }
}
