import test, { type ExecutionContext } from 'ava'
import { type ServerProcess, startProgram, startServer } from '../helpers/process.ts'

/** A program waits for two seconds until something expires; the rest is for slow machines. */
const RUN_MS = 120_000

const EVERY_VERSION = [
  'messages of QoS 0, 1 and 2 arrive once each at their QoS',
  'a subscription lowers the QoS of what it gets',
  'an ended subscription gets nothing more',
  'a session that was away gets what it missed in order, then live',
  'a clean session keeps nothing',
  'a retained message comes with the flag until it is replaced or cleared',
  'a will is sent when the connection is cut',
  'no will is sent after a clean disconnect'
]

const VERSION_5 = [
  ...EVERY_VERSION,
  'what is to expire is prepared',
  'the properties of a message arrive unchanged and in order',
  'topic aliases stand for their topics both ways',
  'Receive Maximum is never exceeded',
  'a message that is too large for a client is left out',
  'acknowledgements carry reason codes',
  'a message names the subscriptions it comes from',
  'No Local keeps own messages away',
  'Retain As Published keeps the flag of live messages',
  'Retain Handling says when retained messages come',
  'the session expiry of a DISCONNECT counts',
  'an empty client id is given one',
  'a takeover tells the older connection 0x8E',
  'an authentication method is refused with 0x8C',
  'a will carries its properties',
  'a will is sent after DISCONNECT 0x04',
  'a delayed will waits, and is not sent when the session resumes',
  'message expiry arrives as what remains, expired messages do not',
  'a session lives as long as its expiry interval'
]

/** A client library or tool, and the program that uses it. */
export interface Client {
  readonly name: string
  /** The command line without the version; undefined when the test was skipped. */
  command(t: ExecutionContext, server: () => Promise<ServerProcess>): Promise<readonly string[] | undefined>
  /** Checks that it cannot do, because its library has no way to. */
  readonly lacks?: readonly string[]
  /** Checks that it alone has. */
  readonly adds?: readonly string[]
}

/** Declares a test for each client and version. */
export function declareTests(clients: readonly Client[]): void {
  for (const client of clients) {
    for (const version of ['3.1', '3.1.1', '5']) {
      // one after the other: each keeps a core busy
      test.serial(`what MQTT ${version} promises holds for ${client.name}`, t => run(t, client, version))
    }
  }
}

async function run(t: ExecutionContext, client: Client, version: string): Promise<void> {
  t.timeout(RUN_MS)
  const [command, ...args] = (await client.command(t, () => startServer(t))) ?? []
  if (!command) return
  const program = startProgram(t, command, [...args, version])
  const { code } = await program.exited(RUN_MS)
  const lines = program.stdout.trimEnd().split('\n')
  const failed = lines.filter(line => !line.startsWith('ok '))
  t.deepEqual(failed, [], program.stderr)
  t.deepEqual(lines.map(line => line.replace('ok ', '')).sort(), expectedOf(client, version))
  t.is(code, 0, program.stderr)
}

function expectedOf({ lacks = [], adds = [] }: Client, version: string): string[] {
  const all = version === '5' ? [...VERSION_5, ...adds] : EVERY_VERSION
  return all.filter(name => !lacks.includes(name)).sort()
}
