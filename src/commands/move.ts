import { errorText, isQueueError } from '../errors.ts'
import type { Counts } from '../migrate/inventory.ts'
import type { Side } from '../migrate/migrate.ts'
import { type Arguments, type Command, CommandError, EXIT, textArgument } from './command.ts'
import { bytesText } from './human.ts'
import { MoveProgress, StopRequest } from './move-progress.ts'
import { printJson, writeOut } from './terminal.ts'

/** Exit codes besides those of every command. */
export const MOVE_EXIT = {
  ...EXIT,
  /** It cannot be done as things are (a server runs, the target is not empty): the target was not changed. */
  refused: 3,
  /** What was written is not what was read. */
  differs: 4
} as const

/** What is told of the exit codes in the help. */
export const MOVE_CODES = 'exit codes: 3 it cannot be done as things are, 4 the copy differs'

/** Options of every command that fills a store. */
export const TARGET_OPTIONS: Command['options'] = {
  to: {
    requiresArg: true,
    demandOption: true,
    describe: 'The store to fill: empty, or what an interrupted run of this command has left'
  },
  'broker-name': {
    requiresArg: true,
    describe: 'In MongoDB: the name of the broker that is to own it (by default the name of the machine)'
  },
  json: { type: 'boolean', describe: 'Print {"isResumed", "counts", "remarks"} as JSON' }
}

/** Finds the store that an option names. */
export type SideOf = (option: 'from' | 'to') => Promise<Side>

/** What a command moves. */
export interface Move {
  readonly source: Side
  readonly target: Side
  /** What people should know in the end, such as what was left out. */
  readonly remarks?: () => Iterable<string>
}

/**
 * Finds source and target, moves all, shows how far it is, tells the result.
 * @throws CommandError with one of {@link MOVE_EXIT}, QueueError
 */
export async function runMove(args: Arguments, prepare: (side: SideOf) => Promise<Move>): Promise<number> {
  const move = await prepare(await sideFinder(args)).catch(error => {
    throw isQueueError(error)
      ? new CommandError(error.message, { exitCode: EXIT.usage, cause: error })
      : error
  })
  if (move.source.name === move.target.name) {
    throw new CommandError(`source and target are the same: ${move.source.name}`, { exitCode: EXIT.usage })
  }
  const { isDone, isResumed, counts } = await watched(move)
  if (!isDone || !counts)
    throw new CommandError('stopped before the end: the same command goes on where it was')
  const remarks = [...(move.remarks?.() ?? [])]
  if (args.json) await printJson({ isResumed, counts, remarks })
  else await writeOut(`${countsText(counts)}\n${remarksText(remarks)}Moved, read back, and found equal.\n`)
  return EXIT.done
}

async function watched({ source, target }: Move) {
  const { migrate } = await import('../migrate/migrate.ts')
  const progress = new MoveProgress(process.stderr)
  const stop = new StopRequest()
  try {
    return await migrate({
      ...{ source, target },
      progress: (phase, done, total) => progress.show(phase, done, total),
      isStopped: () => stop.isAsked
    })
  } catch (error) {
    throw asMoveFailure(error)
  } finally {
    progress.end()
    stop.end()
  }
}

async function sideFinder(args: Arguments): Promise<SideOf> {
  const [{ placeOf }, { assertThere, storeAt }, { pino }] = await Promise.all([
    import('../migrate/place.ts'),
    import('../migrate/open-store.ts'),
    import('pino')
  ])
  const log = pino({ level: 'error' }, pino.destination({ dest: 2, sync: true }))
  const choice = { log, brokerName: textArgument(args, 'broker-name') ?? '' }
  return async option => {
    const place = placeOf(textArgument(args, option) ?? '')
    if (option === 'from') assertThere(place)
    return { name: place.name, make: () => storeAt(place, choice) }
  }
}

/** Puts a failure into words, with the exit code that scripts can tell it by. */
function asMoveFailure(error: unknown): unknown {
  if (!isQueueError(error)) return error
  const { code, detail } = error
  const isRefused = code === 'QUEUE_REQUEST_INVALID'
  if (!isRefused && !detail.isDifferent) return error
  const exitCode = isRefused ? MOVE_EXIT.refused : MOVE_EXIT.differs
  return new CommandError(errorText(error), { exitCode, cause: error })
}

/** Counts for people, one a line. */
function countsText(counts: Counts): string {
  return Object.entries(counts)
    .map(([part, count]) => `${part.padEnd(14)} ${part === 'bytes' ? bytesText(count) : count}`)
    .join('\n')
}

function remarksText(remarks: readonly string[]): string {
  return remarks.map(remark => `left out: ${remark}\n`).join('')
}
