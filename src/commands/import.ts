import { type Command, textArgument } from './command.ts'
import { MOVE_CODES, runMove, TARGET_OPTIONS } from './move.ts'

/** `restante import aedes-mongodb`: what a plain Aedes has left into an empty store. */
export const importCommand: Command = {
  usage: 'import <system>',
  describe: `Take over sessions, queues, retained messages and wills of another system (${MOVE_CODES})`,
  positionals: {
    system: {
      choices: ['aedes-mongodb'],
      describe: 'aedes-mongodb: Aedes with aedes-persistence-mongodb, which must have been stopped'
    }
  },
  options: {
    from: {
      requiresArg: true,
      demandOption: true,
      describe: 'Address of its database: mongodb://<host>/<database>. It is only read'
    },
    prefix: { requiresArg: true, describe: 'What its collections begin with (collectionPrefix)' },
    ...TARGET_OPTIONS
  },
  examples: [
    ['restante import aedes-mongodb --from mongodb://localhost/aedes --to local:./data', 'into a folder'],
    ['restante import aedes-mongodb --from mongodb://db/aedes --to mongodb://db/restante', 'into MongoDB']
  ],
  run: args =>
    runMove(args, async side => {
      const [{ aedesSource }, target] = await Promise.all([import('../migrate/aedes-source.ts'), side('to')])
      const source = aedesSource(textArgument(args, 'from') ?? '', textArgument(args, 'prefix'))
      return { source, target, remarks: () => source.remarks }
    })
}
