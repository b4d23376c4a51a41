import { createInterface } from 'node:readline/promises'
import type { Options } from 'yargs'
import { assertFilter } from '../topic.ts'
import { type Arguments, type Command, CommandError, countArgument, EXIT, textArgument } from './command.ts'
import { addressOption, askJson, httpBase } from './http-client.ts'
import { printable, printJson, writeOut } from './terminal.ts'

const jsonOption: Readonly<Record<string, Options>> = {
  json: { type: 'boolean', describe: 'Print the answer of the server as JSON' },
  ...addressOption
}
const sureOption: Readonly<Record<string, Options>> = {
  yes: { alias: 'y', type: 'boolean', describe: 'Do not ask; needed where nobody can be asked' }
}
const sessionPositional = { session: { describe: 'Client id of the session' } }

/** `restante disconnect`: closes a connection. */
export const disconnectCommand: Command = {
  usage: 'disconnect <client>',
  describe: 'Close the connection of a client; its session stays, and it may come back',
  positionals: { client: { describe: 'Client id' } },
  options: jsonOption,
  examples: [['restante disconnect dashboard', 'it connects again when it likes']],
  async run(args) {
    const client = idOf(args, 'client')
    const answer = await askJson(httpBase(args), `v1/clients/${encodeURIComponent(client)}`, {
      method: 'DELETE'
    })
    return tell(args, answer, `disconnected ${client}`)
  }
}

/** `restante end`: ends a session. */
export const endCommand: Command = {
  usage: 'end <session>',
  describe: 'End a session: its connection, subscriptions and undelivered messages are gone',
  positionals: sessionPositional,
  options: { ...sureOption, ...jsonOption },
  examples: [['restante end old-logger --yes', 'without asking, for a script']],
  async run(args) {
    const session = idOf(args, 'session')
    await ask(args, `End session ${session} and drop what it has still to receive`)
    const path = `v1/sessions/${encodeURIComponent(session)}`
    const answer = await askJson(httpBase(args), path, { method: 'DELETE' })
    return tell(args, answer, `ended ${session}; ${droppedText(answer)}`)
  }
}

/** `restante purge`: drops a backlog. */
export const purgeCommand: Command = {
  usage: 'purge <session>',
  describe: 'Drop what a session has still to receive; its subscriptions stay',
  positionals: sessionPositional,
  options: { ...sureOption, ...jsonOption },
  examples: [
    ['restante messages logger', 'look before'],
    ['restante purge logger', 'asks, then drops']
  ],
  async run(args) {
    const session = idOf(args, 'session')
    await ask(args, `Drop what ${session} has still to receive`)
    const path = `v1/sessions/${encodeURIComponent(session)}/messages`
    const answer = await askJson(httpBase(args), path, { method: 'DELETE' })
    return tell(args, answer, `purged ${session}; ${droppedText(answer)}`)
  }
}

/** `restante attach`: subscribes a session on behalf of its client. */
export const attachCommand: Command = {
  usage: 'attach <session> <filter..>',
  describe: 'Subscribe a session, connected or away, as its client would',
  positionals: {
    ...sessionPositional,
    filter: { describe: 'Topic filters: DB/CREATE, DB/#', type: 'string', array: true }
  },
  options: { qos: { requiresArg: true, describe: '0, 1 or 2', defaultDescription: '1' }, ...jsonOption },
  examples: [['restante attach logger "DB/#" MAIL/new', 'logger gets these from now on']],
  async run(args) {
    const session = idOf(args, 'session')
    const qos = countArgument(args, 'qos', { min: 0, max: 2 }) ?? 1
    const subscriptions = filtersOf(args).map(filter => ({ filter, qos }))
    const path = `v1/sessions/${encodeURIComponent(session)}/subscriptions`
    const answer = await askJson(httpBase(args), path, { method: 'POST', body: { subscriptions } })
    const { subscriptions: granted = [], refused = [] } = answer as Granted
    const names = granted.map(({ filter, qos }) => `${filter} (QoS ${qos})`)
    await tell(args, answer, `attached ${session} to ${names.join(', ')}`)
    if (refused.length === 0) return EXIT.done
    throw new CommandError(`refused by a hook: ${printable(refused.join(', '))}`)
  }
}

/** `restante detach`: takes subscriptions out of a session. */
export const detachCommand: Command = {
  usage: 'detach <session> <filter..>',
  describe: 'Take subscriptions out of a session, connected or away',
  positionals: {
    ...sessionPositional,
    filter: { describe: 'The filters, as they were subscribed', type: 'string', array: true }
  },
  options: jsonOption,
  examples: [['restante detach logger "DB/#"', 'what of it was still to be received is gone as well']],
  async run(args) {
    const session = idOf(args, 'session')
    const filters = filtersOf(args)
    for (const filter of filters) {
      const path = `v1/sessions/${encodeURIComponent(session)}/subscriptions`
      const query = new URLSearchParams({ filter })
      await askJson(httpBase(args), `${path}?${query}`, { method: 'DELETE' })
    }
    return tell(args, { removed: filters }, `detached ${session} from ${filters.join(', ')}`)
  }
}

interface Granted {
  readonly subscriptions?: readonly { filter: string; qos: number }[]
  readonly refused?: readonly string[]
}

function idOf(args: Arguments, name: string): string {
  const id = textArgument(args, name)
  if (id === undefined || id === '') {
    throw new CommandError(`expected the client id of the ${name}, found nothing`, { exitCode: EXIT.usage })
  }
  return id
}

/** @throws QueueError QUEUE_FILTER_INVALID */
function filtersOf(args: Arguments): string[] {
  const filters = [args.filter].flat().map(String)
  for (const filter of filters) assertFilter(filter)
  return filters
}

/** Asks whether it is really meant. @throws CommandError when it is not, or nobody can be asked. */
async function ask(args: Arguments, question: string): Promise<void> {
  if (args.yes) return
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new CommandError('this cannot be undone, and nobody can be asked here: say --yes', {
      exitCode: EXIT.usage
    })
  }
  const prompt = createInterface({ input: process.stdin, output: process.stderr })
  const stop = new AbortController()
  prompt.on('SIGINT', () => stop.abort())
  const answer = await prompt
    .question(`${printable(question)}? [y/N] `, { signal: stop.signal })
    .catch(() => '')
  prompt.close()
  if (!/^y(es)?$/i.test(answer.trim())) throw new CommandError('nothing was done')
}

function droppedText(answer: object): string {
  const { dropped } = answer as { dropped?: unknown }
  return dropped === 1 ? '1 message dropped' : `${dropped ?? '?'} messages dropped`
}

async function tell(args: Arguments, answer: object, text: string): Promise<number> {
  if (args.json) await printJson(answer)
  else await writeOut(`${printable(text)}\n`)
  return EXIT.done
}
