#!/usr/bin/env node
/* Takes new customers over HTTP, saves them, and announces each as DB/CREATE on the queue server. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import yargs, { type ArgumentsCamelCase, type InferredOptionTypes } from 'yargs'
import { hideBin } from 'yargs/helpers'
import { Client } from '../../src/client/index.ts' // in a project of your own: from 'restante/client'
import { failAs } from '../shared/fail.ts'
import { startOutbox } from './outbox.ts'
import { createApi } from './server.ts'
import type { CustomerStore } from './store.ts'
import { addUser, RIGHTS, Users } from './users.ts'

/** How long a stop waits for the requests in hand, and for the event that is being published. */
const FINISH_MS = 2_000

const data = {
  type: 'string',
  default: './data/api-server',
  describe: 'Folder of the database and of users.json; made when it is missing'
} as const

const serveOptions = {
  data,
  host: { type: 'string', default: '127.0.0.1', describe: 'Address to listen on' },
  port: { type: 'number', default: 3000, describe: 'Port to listen on; 0 takes any free one' },
  'queue-url': {
    type: 'string',
    default: 'mqtt://localhost:1883',
    describe: 'MQTT address of the queue server'
  },
  'client-id': { type: 'string', default: 'api-server', describe: 'Name of its connection there' },
  'mongodb-url': {
    type: 'string',
    describe: 'Keep the customers in this MongoDB: mongodb://localhost:27017/shop; left out: in SQLite'
  }
} as const

const userOptions = {
  data,
  name: { type: 'string', demandOption: true, describe: 'Login name' },
  rights: { choices: RIGHTS, array: true, default: RIGHTS, describe: 'What the user may do' },
  'token-file': {
    type: 'string',
    describe: 'Take the token from this file; without the file, write it there in place of printing it'
  }
} as const

await yargs(hideBin(process.argv))
  .scriptName('api-server')
  .command('$0', 'Take customers over HTTP, save them, announce each as DB/CREATE', serveOptions, serve)
  .command('add-user <name>', 'Let somebody use the API', userOptions, add)
  .example('$0 add-user ann', 'prints a token for ann')
  .example('$0 --port 3000 --queue-url mqtt://queue.example:1883', '')
  .epilogue(
    `POST /customers {"name", "email"}   201 when it is saved; 401, 403, 409, 422 (RFC 9457)
GET  /customers?after=&limit=       in order of their numbers
GET  /customers/count               {"count", "through"}: through is the highest number counted
GET  /customers/{id}
GET  /health`
  )
  .strict()
  .version(false)
  .fail(failAs('api-server'))
  .wrap(100)
  .parseAsync()

async function serve({
  data,
  host,
  port,
  queueUrl,
  clientId,
  mongodbUrl
}: ArgumentsCamelCase<InferredOptionTypes<typeof serveOptions>>): Promise<void> {
  const usersFile = join(data, 'users.json')
  if (!existsSync(usersFile)) {
    console.error(
      `nobody may use the API yet (${usersFile} is missing); begin with: api-server add-user NAME --data ${data}`
    )
    process.exitCode = 2
    return
  }
  const users = new Users(usersFile)
  const store = await openStore(data, mongodbUrl)
  const queue = openQueue(queueUrl, clientId)
  const outbox = startOutbox(store, queue)
  const app = createApi({ store, users, onSaved: outbox.notify })
  console.log(`API server: ${await app.listen({ host, port })}`)

  const stop = async () => {
    const late = setTimeout(() => app.server.closeAllConnections(), FINISH_MS) // somebody who never asks
    await app.close() // answers what has been asked
    clearTimeout(late)
    await outbox.stop(FINISH_MS) // what is left is published by the next start
    await queue.close({ timeoutMs: 0 })
    await store.close()
  }
  let stopped: Promise<void> | undefined
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void (stopped ??= stop()))
}

/** A connection to the queue server. While there is none, publishes wait for it. */
function openQueue(url: string, clientId: string): Client {
  const client = new Client(url, { clientId, session: 'clean', openTimeoutMs: Number.POSITIVE_INFINITY })
  let lastReason = ''
  client.listen('connected', () => {
    lastReason = ''
    console.log(`connected to the queue server ${client.url}`)
  })
  client.listen('disconnected', ({ reason }) => {
    if (reason !== lastReason) console.error(`waiting for the queue server ${client.url}: ${reason}`)
    lastReason = reason // once is enough: it tries again and again
  })
  client.open().catch(error => {
    console.error(`${error}`) // refused for good: waiting would not help
    process.exit(1)
  })
  return client
}

/** The libraries of a database are loaded only where it is used. */
async function openStore(data: string, mongodbUrl: string | undefined): Promise<CustomerStore> {
  if (mongodbUrl) return await (await import('./mongodb-store.ts')).MongodbStore.open(mongodbUrl)
  return new (await import('./sqlite-store.ts')).SqliteStore(join(data, 'customers.db'))
}

function add({
  data,
  name,
  rights,
  tokenFile
}: ArgumentsCamelCase<InferredOptionTypes<typeof userOptions>>): void {
  mkdirSync(data, { recursive: true })
  const known = tokenFile && existsSync(tokenFile) ? readFileSync(tokenFile, 'utf8').trim() : undefined
  const token = addUser(join(data, 'users.json'), name, rights, known)
  if (!tokenFile) console.log(token)
  else if (!known) writeFileSync(tokenFile, `${token}\n`, { mode: 0o600 })
}
