import type { IClientOptions, MqttClient } from 'mqtt'
import { assertFilter } from '../topic.ts'
import { type Arguments, type Command, CommandError, countArgument, EXIT, textArgument } from './command.ts'
import { type LineForm, messageLine } from './message-line.ts'
import {
  type ConnectionTarget,
  closeClient,
  connectionOptions,
  connectionTarget,
  type OpenedClient,
  openClient,
  randomClientId,
  shownUrl
} from './mqtt-connection.ts'
import { printable, writeOut } from './terminal.ts'

/** `restante subscribe`: prints messages as they come; each is acked after it was printed. */
export const subscribeCommand: Command = {
  usage: 'subscribe <filter..>',
  describe: 'Print the messages that match one of the topic filters',
  positionals: {
    filter: { describe: 'Topic filters: DB/CREATE, DB/#, +/CREATE', type: 'string', array: true }
  },
  options: {
    id: {
      requiresArg: true,
      describe: 'Client id of a durable session: what comes while it is away is kept for it'
    },
    clean: { type: 'boolean', describe: 'With --id: forget an earlier session, and keep none' },
    qos: {
      requiresArg: true,
      describe: '1: acked after it was printed; 0: what is missed is lost',
      defaultDescription: '1'
    },
    count: { requiresArg: true, describe: 'Stop after so many messages' },
    json: { type: 'boolean', describe: 'Print each message as one line of JSON' },
    ...connectionOptions
  },
  examples: [
    ['restante subscribe DB/CREATE --id logger', 'what logger has missed, then live'],
    ['restante subscribe "DB/#" --count 1 --json', 'the next message of queue DB']
  ],
  async run(args) {
    const plan = planOf(args)
    const opened = await openClient(plan.target, clientOptions(plan))
    const outcome = Promise.race([printMessages(opened.client, plan), closing(opened, plan), interruption()])
    outcome.catch(() => {}) // it is awaited below, after the set-up
    try {
      await Promise.race([setUp(opened, plan), outcome])
      await outcome
    } finally {
      await closeClient(opened.client)
    }
    return EXIT.done
  }
}

interface Plan {
  readonly target: ConnectionTarget
  readonly filters: readonly string[]
  /** Undefined for a session that ends with the connection. */
  readonly durableId: string | undefined
  readonly clientId: string
  readonly qos: 0 | 1
  readonly count: number
  readonly form: LineForm
}

/** Session expiry interval of a session that never expires. @see MQTT 5.0 section 3.1.2.11.2 */
const NEVER_EXPIRES = 0xffff_ffff
const RECONNECT: IClientOptions = { reconnectPeriod: 1000, reconnectOnConnackError: true }
/** Reasons that pass by themselves: none given, unavailable (3 in MQTT 3.1.1), busy, shutting down, keep-alive. */
const PASSING_REASONS: ReadonlySet<number> = new Set([0x00, 0x03, 0x88, 0x89, 0x8b, 0x8d])

function planOf(args: Arguments): Plan {
  const filters = (args.filter as readonly unknown[]).map(String)
  for (const filter of filters) assertFilter(filter)
  const id = textArgument(args, 'id')
  if (args.clean && id === undefined) {
    throw new CommandError('--clean needs --id: without an id there is no session to forget', {
      exitCode: EXIT.usage
    })
  }
  return {
    target: connectionTarget(args),
    filters,
    durableId: args.clean ? undefined : id,
    clientId: id ?? randomClientId(),
    qos: (countArgument(args, 'qos', { min: 0, max: 1 }) ?? 1) as 0 | 1,
    count: countArgument(args, 'count', { min: 1, max: Number.MAX_SAFE_INTEGER }) ?? Number.POSITIVE_INFINITY,
    form: args.json ? 'json' : process.stdout.isTTY ? 'terminal' : 'raw'
  }
}

function clientOptions({ target, durableId, clientId, count }: Plan): IClientOptions {
  const options = { clientId, clean: durableId === undefined, ...RECONNECT }
  if (target.protocolVersion === 4) return options
  const properties = {
    ...(durableId === undefined ? {} : { sessionExpiryInterval: NEVER_EXPIRES }),
    ...(count < 100 ? { receiveMaximum: count } : {}) // no more is sent than will be acked
  }
  return { ...options, properties }
}

async function setUp({ client, accepted, reasonText }: OpenedClient, { filters, qos }: Plan): Promise<void> {
  await accepted
  const granted = await new Promise<readonly number[]>((resolve, reject) => {
    client.subscribe([...filters], { qos }, (error, _grants, packet) => {
      if (packet) resolve(packet.granted as number[])
      else reject(error ?? new CommandError('the server did not answer the subscription'))
    })
  })
  for (const [index, code] of granted.entries()) {
    const filter = printable(filters[index] ?? '')
    if (code >= 0x80) throw new CommandError(`${filter} was refused: ${reasonText(code)}`)
    if (code < qos) process.stderr.write(`${filter} was granted at QoS ${code}, not ${qos}\n`)
  }
}

/** Prints what comes; resolves after the last one was acked, rejects when it cannot print. */
function printMessages(client: MqttClient, { count, form }: Plan): Promise<void> {
  const notAcked = new Error('left to the session') // an error keeps the ack back, and lets the connection go on
  let printed = 0
  let isOver = false
  return new Promise((resolve, reject) => {
    client.handleMessage = (packet, done) => {
      if (isOver) return done(notAcked)
      printed += 1
      isOver = printed === count
      const payload = Buffer.from(packet.payload)
      writeOut(messageLine({ ...packet, payload }, form)).then(
        () => {
          done() // sends the ack
          if (isOver) resolve()
        },
        cause => {
          isOver = true
          done(notAcked)
          reject(new CommandError('stdout was closed: what comes from here on stays unacked', { cause }))
        }
      )
    }
  })
}

/** Rejects when the server has closed the connection for good; otherwise it is opened again, and stderr says so. */
function closing({ client, lastReason, lastReasonCode }: OpenedClient, { target }: Plan): Promise<never> {
  return new Promise((_resolve, reject) => {
    let isUp = false
    let wasUp = false
    client.on('connect', () => {
      if (wasUp) process.stderr.write('connected again\n')
      isUp = wasUp = true
    })
    client.on('error', () => {}) // a close follows
    client.on('close', () => {
      if (!wasUp || client.disconnecting) return // the first connection is the business of the set-up
      if (!PASSING_REASONS.has(lastReasonCode())) {
        reject(new CommandError(`${shownUrl(target.url)} closed the connection: ${lastReason()}`))
      } else if (isUp)
        process.stderr.write(`the connection to ${shownUrl(target.url)} is lost; trying again\n`)
      isUp = false
    })
  })
}

function interruption(): Promise<void> {
  return new Promise(resolve => {
    process.once('SIGINT', () => resolve())
    process.once('SIGTERM', () => resolve())
  })
}
