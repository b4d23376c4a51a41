import type { Command } from './command.ts'
import { MOVE_CODES, runMove, TARGET_OPTIONS } from './move.ts'

/** `restante migrate`: all that is in one store into another one. */
export const migrateCommand: Command = {
  usage: 'migrate',
  describe: `Move messages, sessions and all else from one store to another (${MOVE_CODES})`,
  options: {
    from: {
      requiresArg: true,
      demandOption: true,
      describe: 'The store to read: local:<folder> or mongodb://<host>/<database>. It stays as it is'
    },
    ...TARGET_OPTIONS
  },
  examples: [
    ['restante migrate --from local:./data --to mongodb://localhost/restante', 'from a folder to MongoDB'],
    ['restante migrate --from mongodb://localhost/restante --to local:./data', 'and back']
  ],
  run: args => runMove(args, async side => ({ source: await side('from'), target: await side('to') }))
}
