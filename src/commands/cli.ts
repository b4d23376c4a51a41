import yargs, { type Argv } from 'yargs'
import { nearestName } from '../config/suggestion.ts'
import { packageVersion } from '../version.ts'
import { attachCommand, detachCommand, disconnectCommand, endCommand, purgeCommand } from './actions.ts'
import { brokersCommand } from './brokers.ts'
import { clientsCommand } from './clients.ts'
import { type Command, CommandError, EXIT } from './command.ts'
import { configCommand } from './config.ts'
import { importCommand } from './import.ts'
import { messageCommand } from './message.ts'
import { messagesCommand } from './messages.ts'
import { migrateCommand } from './migrate.ts'
import { type PluginCommands, pluginCommands } from './plugin-commands.ts'
import { publishCommand } from './publish.ts'
import { queuesCommand } from './queues.ts'
import { sessionsCommand } from './sessions.ts'
import { startCommand } from './start.ts'
import { subscribeCommand } from './subscribe.ts'
import { subscriptionsCommand } from './subscriptions.ts'

/** Every command, in the order of the help. */
export const COMMANDS: readonly Command[] = [
  startCommand,
  configCommand,
  publishCommand,
  subscribeCommand,
  clientsCommand,
  sessionsCommand,
  queuesCommand,
  subscriptionsCommand,
  brokersCommand,
  messagesCommand,
  messageCommand,
  disconnectCommand,
  attachCommand,
  detachCommand,
  purgeCommand,
  endCommand,
  migrateCommand,
  importCommand
]

const NAMES = COMMANDS.map(command => command.usage.split(' ')[0] ?? '')

/** Names and values stay as they were typed: what a value means is decided by whoever reads it. */
const PARSING = {
  'boolean-negation': false,
  'camel-case-expansion': false,
  'dot-notation': false,
  'greedy-arrays': false,
  'parse-numbers': false,
  'parse-positional-numbers': false,
  'strip-aliased': true
}

/**
 * Runs a command line.
 * @param words what was typed after `restante`.
 * @returns the exit code.
 * @throws CommandError for a wrong command line, after its help was written to stderr; and whatever the command throws.
 */
export async function runCommandLine(words: readonly string[]): Promise<number> {
  const parser = yargs([...words])
    .scriptName('restante')
    .usage('$0 <command>\n\nA durable queue server that any standard MQTT client can use.')
    .locale('en')
    .wrap(Math.min(110, process.stdout.columns || 100))
    .parserConfiguration(PARSING)
    .exitProcess(false)
    .strict()
    .demandCommand(1, `expected a command: ${NAMES.join(', ')}`)
    .version(packageVersion())
    .help()
    .alias({ help: 'h' })
    .epilogue(
      'Exit codes: 0 done, 1 failed, 2 wrong command line or configuration, 70 a fault of the program.'
    )
  for (const command of COMMANDS) mount(parser, command)
  const isBuiltIn = [...NAMES, '--version'].includes(words[0] ?? '')
  const groups = isBuiltIn ? [] : await pluginCommands(words, process.env)
  for (const group of groups) mountGroup(parser, group)
  parser.fail((message, error, failed) => {
    if (error && error.name !== 'YError') throw error
    failed.showHelp(help => process.stderr.write(`${help}\n\n`))
    throw new CommandError(usageProblem(message, words), { exitCode: EXIT.usage })
  })
  try {
    await parser.parseAsync()
  } catch (error) {
    if (error instanceof Chosen) return await error.run()
    throw error
  }
  return EXIT.done // the parser itself has answered --help or --version
}

/**
 * The command that was typed, with its arguments. It is thrown to leave the parser: one whose handler returns lays out
 * the help of the command, which takes longer than most commands.
 */
class Chosen extends Error {
  readonly run: () => Promise<number>

  constructor(run: () => Promise<number>) {
    super('a command was chosen')
    this.run = run
  }
}

/** The commands of a plugin, under its name. */
function mountGroup(parser: Argv, { plugin, commands }: PluginCommands): void {
  parser.command({
    command: plugin,
    describe: `Commands of the plugin ${plugin}`,
    builder: builder => {
      for (const command of commands) mount(builder, command)
      return builder.demandCommand(1, `expected a command of ${plugin}`)
    },
    handler: () => {}
  })
}

function mount(parser: Argv, command: Command): void {
  parser.command({
    command: command.usage,
    describe: command.describe,
    builder: builder => {
      for (const [name, positional] of Object.entries(command.positionals ?? {}))
        builder.positional(name, positional)
      for (const [line, meaning] of command.examples ?? []) builder.example(line, meaning)
      return builder.options(command.options)
    },
    handler: args => {
      throw new Chosen(() => command.run(args))
    }
  })
}

/** What yargs says of a wrong command line, in our words and with a guess at what was meant. */
function usageProblem(message: string, words: readonly string[]): string {
  const typed = words.find(word => !word.startsWith('-')) ?? ''
  const command = COMMANDS[NAMES.indexOf(typed)]
  const unknown = /^Unknown arguments?: (.+)$/.exec(message)?.[1]?.split(', ')[0]
  if (unknown !== undefined) return unknownProblem(unknown, command, words)
  if (command && message.startsWith('Not enough non-option arguments'))
    return `expected: restante ${command.usage}`
  const bare = /^Not enough arguments following: (.+)$/.exec(message)?.[1]
  return bare === undefined ? message : `--${bare} needs a value`
}

function unknownProblem(unknown: string, command: Command | undefined, words: readonly string[]): string {
  const isOption = words.some(
    word => word.startsWith('-') && word.replace(/^--?/, '').split('=')[0] === unknown
  )
  if (!isOption && !command) return `there is no command ${unknown}${guess(nearestName(unknown, NAMES))}`
  if (!isOption) return `${unknown} is one argument too many`
  if (!command) return `there is no option --${unknown} without a command`
  const nearest = nearestName(unknown, [...Object.keys(command.options), 'help', 'version'])
  return `there is no option --${unknown}${guess(nearest && `--${nearest}`)}`
}

function guess(name: string | undefined): string {
  return name === undefined ? '' : ` (did you mean ${name}?)`
}
