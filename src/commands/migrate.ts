import { isQueueError } from '../errors.ts'
import type { Counts } from '../migrate/inventory.ts'
import type { Migrated } from '../migrate/migrate.ts'
import { type Arguments, type Command, CommandError, EXIT, textArgument } from './command.ts'
import { bytesText } from './human.ts'
import { MoveProgress, StopRequest } from './move-progress.ts'
import { printJson, writeOut } from './terminal.ts'

/** Exit codes besides those of every command. */
export const MOVE_EXIT = {
  ...EXIT,
  /** It cannot be done as things are (a server runs, the target is not empty): nothing was changed. */
  refused: 3,
  /** What was written is not what was read. */
  differs: 4
} as const

/** `restante migrate`: all that is in one store into another one. */
export const migrateCommand: Command = {
  usage: 'migrate',
  describe:
    'Move messages, sessions and all else from one store to another (exit codes: 3 refused, 4 differs)',
  options: {
    from: {
      requiresArg: true,
      demandOption: true,
      describe: 'The store to read: local:<folder> or mongodb://<host>/<database>. It stays as it is.'
    },
    to: {
      requiresArg: true,
      demandOption: true,
      describe: 'The store to fill: empty, or what an interrupted run of this command has left.'
    },
    'broker-name': {
      requiresArg: true,
      describe: 'In MongoDB: the name of the broker that is to own it (by default the name of the machine)'
    },
    json: { type: 'boolean', describe: 'Print {"isResumed", "counts"} as JSON' }
  },
  examples: [
    ['restante migrate --from local:./data --to mongodb://localhost/restante', 'from a folder to MongoDB'],
    ['restante migrate --from mongodb://localhost/restante --to ./data', 'and back']
  ],
  async run(args) {
    const [{ migrate }, sides] = await Promise.all([import('../migrate/migrate.ts'), sidesOf(args)])
    const progress = new MoveProgress(process.stderr)
    const stop = new StopRequest()
    try {
      const result = await migrate({
        ...sides,
        progress: (phase, done, total) => progress.show(phase, done, total),
        isStopped: () => stop.isAsked
      })
      progress.end()
      return await tell(result, args)
    } catch (error) {
      progress.end()
      throw asMoveFailure(error)
    } finally {
      stop.end()
    }
  }
}

/** Puts a failure of moving into words, with the exit code that scripts can tell it by. */
export function asMoveFailure(error: unknown): unknown {
  if (!isQueueError(error)) return error
  const { code, message, detail } = error
  if (code === 'QUEUE_REQUEST_INVALID') {
    return new CommandError(message, { exitCode: MOVE_EXIT.refused, cause: error })
  }
  return detail.isDifferent ? new CommandError(message, { exitCode: MOVE_EXIT.differs, cause: error }) : error
}

/** Counts for people, one a line. */
export function countsText(counts: Counts): string {
  return Object.entries(counts)
    .map(([part, count]) => `${part.padEnd(14)} ${part === 'bytes' ? bytesText(count) : count}`)
    .join('\n')
}

async function sidesOf(args: Arguments) {
  const [{ placeOf }, { assertThere, storeAt }, { pino }] = await Promise.all([
    import('../migrate/place.ts'),
    import('../migrate/open-store.ts'),
    import('pino')
  ])
  const log = pino({ level: 'error' }, pino.destination({ dest: 2, sync: true }))
  const choice = { log, brokerName: textArgument(args, 'broker-name') ?? '' }
  try {
    const [from, to] = [placeOf(textArgument(args, 'from') ?? ''), placeOf(textArgument(args, 'to') ?? '')]
    if (from.name === to.name) {
      throw new CommandError(`source and target are the same: ${from.name}`, { exitCode: EXIT.usage })
    }
    assertThere(from)
    const side = (place: typeof from) => ({ name: place.name, make: () => storeAt(place, choice) })
    return { source: side(from), target: side(to) }
  } catch (error) {
    throw isQueueError(error)
      ? new CommandError(error.message, { exitCode: EXIT.usage, cause: error })
      : error
  }
}

async function tell({ isDone, isResumed, counts }: Migrated, args: Arguments): Promise<number> {
  if (!isDone || !counts) {
    throw new CommandError('stopped before the end: the same command goes on where it was')
  }
  if (args.json) await printJson({ isResumed, counts })
  else await writeOut(`${countsText(counts)}\nMoved, read back, and found equal.\n`)
  return EXIT.done
}
