#!/usr/bin/env node
/* Texts all sales people that a customer account was created (DB/CREATE). */
import { join } from 'node:path'
import yargs, { type ArgumentsCamelCase, type InferredOptionTypes } from 'yargs'
import { hideBin } from 'yargs/helpers'
import { shownCustomer } from '../shared/customer-schema.ts'
import { failAs } from '../shared/fail.ts'
import { followCustomers } from '../shared/follow.ts'
import { durableClient, followOptions } from '../shared/follow-options.ts'
import { textEverybody } from './notifier.ts'
import { readSalesPeople } from './sales-people.ts'
import type { TextLog } from './text-log.ts'
import { openTransport, transportOptions } from './transports.ts'

const options = {
  ...followOptions('monitor'),
  'sales-people': {
    type: 'string',
    describe: 'JSON file with the sales people: [{"name": "Ann", "phone": "+15550100123"}]'
  },
  'sales-person': {
    type: 'string',
    array: true,
    default: [] as string[],
    describe: 'A sales person: Ann=+15550100123; may be given several times. Without any, two samples'
  },
  ...transportOptions,
  data: {
    type: 'string',
    default: './data/monitor',
    describe: 'Folder of the notes about texts; made when it is missing'
  },
  'mongodb-url': {
    type: 'string',
    describe: 'Keep the notes in this MongoDB: mongodb://localhost:27017/shop; left out: in SQLite'
  }
} as const

await yargs(hideBin(process.argv))
  .scriptName('monitor')
  .command('$0', 'Text all sales people that a customer account was created (DB/CREATE)', options, main)
  .example('$0 --sales-person Ann=+15550100123', 'prints the texts')
  .example('$0 --sales-people people.json --transport webhook --webhook-url https://texts.example/', '')
  .example(
    'TWILIO_AUTH_TOKEN=… $0 --sales-people people.json --transport twilio --twilio-account AC… --twilio-from +1…',
    ''
  )
  .epilogue(
    'A text that cannot be sent is tried again, and so is its customer, until it works; a number that does not exist is reported and left out. ' +
      'Nobody gets two texts about one customer, unless the program dies between sending a text and noting that, ' +
      'with a transport that cannot be asked (console, or a webhook that keeps no keys).'
  )
  .strict()
  .version(false)
  .fail(failAs('monitor'))
  .wrap(100)
  .parseAsync()

async function main(args: ArgumentsCamelCase<InferredOptionTypes<typeof options>>): Promise<void> {
  const people = readSalesPeople(args.salesPeople, args.salesPerson)
  const transport = openTransport(args)
  const log = await openLog(args.data, args.mongodbUrl)
  const complain = (problem: string) => console.error(`monitor: ${problem}`)
  await followCustomers(durableClient(args.queueUrl, args.clientId), {
    name: 'monitor',
    onCreated: async customer => {
      await textEverybody(customer, { people, transport, log, complain })
      console.log(`monitor: ${shownCustomer(customer)}: ${people.map(({ name }) => name).join(', ')} told`)
    },
    soFar: async () => `${await log.sentCount()} texts so far`,
    close: () => log.close()
  })
}

/** The libraries of a database are loaded only where it is used. */
async function openLog(data: string, mongodbUrl: string | undefined): Promise<TextLog> {
  if (mongodbUrl) return await (await import('./mongodb-text-log.ts')).MongodbTextLog.open(mongodbUrl)
  return new (await import('./sqlite-text-log.ts')).SqliteTextLog(join(data, 'texts.db'))
}
