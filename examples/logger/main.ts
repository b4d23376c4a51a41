#!/usr/bin/env node
/* Writes each created customer (DB/CREATE) to a logging database, with a summary; catches up after being away. */
import { join } from 'node:path'
import yargs, { type ArgumentsCamelCase, type InferredOptionTypes } from 'yargs'
import { hideBin } from 'yargs/helpers'
import { shownCustomer } from '../shared/customer-schema.ts'
import { failAs } from '../shared/fail.ts'
import { followCustomers } from '../shared/follow.ts'
import { durableClient, followOptions } from '../shared/follow-options.ts'
import type { EventLog } from './event-log.ts'
import { summaryText } from './summary-text.ts'

const options = {
  ...followOptions('logger'),
  data: {
    type: 'string',
    default: './data/logger',
    describe: 'Folder of the database; made when it is missing'
  },
  'mongodb-url': {
    type: 'string',
    describe: 'Log to this MongoDB: mongodb://localhost:27017/shop; left out: to SQLite'
  },
  summary: { type: 'boolean', describe: 'Print the summary of what was logged, and end' },
  json: { type: 'boolean', implies: 'summary', describe: 'With --summary: as JSON' }
} as const

await yargs(hideBin(process.argv))
  .scriptName('logger')
  .command('$0', 'Log each created customer (DB/CREATE), with a summary', options, main)
  .example('$0', 'logs until Ctrl-C, and goes on there at its next start')
  .example('$0 --summary', 'can be asked at any time')
  .strict()
  .version(false)
  .fail(failAs('logger'))
  .wrap(100)
  .parseAsync()

async function main(args: ArgumentsCamelCase<InferredOptionTypes<typeof options>>): Promise<void> {
  const log = await openLog(args.data, args.mongodbUrl)
  if (args.summary) {
    const summary = await log.summary()
    console.log(args.json ? JSON.stringify(summary) : summaryText(summary))
    return await log.close()
  }
  await followCustomers(durableClient(args.queueUrl, args.clientId), {
    name: 'logger',
    onCreated: async customer => {
      const isNew = await log.add(customer)
      console.log(
        `logger: ${shownCustomer(customer)} ${isNew ? 'logged' : 'came again and is logged already'}`
      )
    },
    soFar: async () => `${(await log.summary()).events} events so far`,
    close: () => log.close()
  })
}

/** The libraries of a database are loaded only where it is used. */
async function openLog(data: string, mongodbUrl: string | undefined): Promise<EventLog> {
  if (mongodbUrl) return await (await import('./mongodb-log.ts')).MongodbLog.open(mongodbUrl)
  return new (await import('./sqlite-log.ts')).SqliteLog(join(data, 'events.db'))
}
