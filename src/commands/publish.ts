import { readFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import type { Packet } from 'mqtt'
import { systemClock } from '../clock.ts'
import { errorText } from '../errors.ts'
import { assertTopic, splitTopic } from '../topic.ts'
import { type Arguments, type Command, CommandError, countArgument, EXIT, textArgument } from './command.ts'
import {
  closeClient,
  connectionOptions,
  connectionTarget,
  type OpenedClient,
  openClient,
  randomClientId
} from './mqtt-connection.ts'
import { printable, writeOut } from './terminal.ts'

/** `restante publish`: one message over MQTT; succeeds when the server has acked it. */
export const publishCommand: Command = {
  usage: 'publish <topic> [payload]',
  describe: 'Publish a message and wait until the server has stored it',
  positionals: {
    topic: { describe: 'Queue and event: DB/CREATE' },
    payload: { describe: 'The message; - or nothing reads it from stdin' }
  },
  options: {
    file: { requiresArg: true, describe: 'Publish the content of this file' },
    qos: {
      requiresArg: true,
      describe: '1: acked when it is stored; 2: the same, exactly once; 0: sent, not acked',
      defaultDescription: '1'
    },
    retain: {
      type: 'boolean',
      describe: 'Keep it as the last word on its topic, for those who subscribe later; empty: take that back'
    },
    json: { type: 'boolean', describe: 'Print the result as one line of JSON' },
    ...connectionOptions
  },
  examples: [
    [`restante publish DB/CREATE '{"id":1}'`, 'event CREATE of queue DB'],
    ['restante publish DB/CREATE < customer.json', 'the payload from a file or another program']
  ],
  async run(args) {
    const topic = textArgument(args, 'topic') ?? ''
    assertTopic(topic)
    const qos = (countArgument(args, 'qos', { min: 0, max: 2 }) ?? 1) as 0 | 1 | 2
    const retain = args.retain === true
    const target = connectionTarget(args)
    const payload = await readPayload(args)
    const opened = await openClient(target, { clean: true, clientId: randomClientId() })
    await opened.accepted
    const reasonCode = await publishOnce(opened, { topic, payload, qos, retain, timeoutMs: target.timeoutMs })
    await closeClient(opened.client)
    const result = { topic, ...splitTopic(topic), bytes: payload.length, qos, reasonCode }
    await writeOut(`${args.json ? JSON.stringify(result) : resultText(result, opened)}\n`)
    return EXIT.done
  }
}

interface Publication {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly timeoutMs: number
}

async function readPayload(args: Arguments): Promise<Buffer> {
  const file = textArgument(args, 'file')
  const payload = payloadArgument(args)
  if (file !== undefined && payload !== undefined) {
    throw new CommandError('the payload was given twice: on the command line and with --file', {
      exitCode: EXIT.usage
    })
  }
  if (file !== undefined) {
    return readFile(file).catch(error => {
      throw new CommandError(`the payload cannot be read: ${errorText(error)}`, { cause: error })
    })
  }
  if (payload !== undefined && payload !== '-') return Buffer.from(payload)
  if (payload === undefined && process.stdin.isTTY) {
    throw new CommandError('no payload: give it after the topic, with --file, or on stdin', {
      exitCode: EXIT.usage
    })
  }
  return buffer(process.stdin)
}

function payloadArgument(args: Arguments): string | undefined {
  const [, ...rest] = Array.isArray(args._) ? (args._ as unknown[]) : [] // what came after --
  const given = [...(args.payload === undefined ? [] : [args.payload]), ...rest]
  if (given.length > 1) {
    throw new CommandError('expected one payload: put quotes around it', { exitCode: EXIT.usage })
  }
  const [payload] = given
  if (payload === true) return '-' // what yargs makes of a lone dash
  return payload === undefined ? undefined : String(payload)
}

/** @returns the reason code of the ack; 0 as well where there is none (QoS 0, MQTT 3.1.1). */
function publishOnce(opened: OpenedClient, publication: Publication): Promise<number> {
  const { topic, payload, qos, retain, timeoutMs } = publication

  const { client, reasonText } = opened
  return new Promise((resolve, reject) => {
    const timer = systemClock.after(timeoutMs, () => fail(`no ack within ${timeoutMs} ms`))
    const fail = (problem: string): void => {
      reject(new CommandError(`${printable(topic)} was not published: ${problem}`))
      timer.cancel()
      client.on('error', () => {})
      client.end(true) // what it calls back from here on comes too late to be the reason
    }
    client.once('error', error => fail(errorText(error)))
    client.once('close', () => fail(closeProblem(opened)))
    client.publish(topic, payload, { qos, retain }, (error, packet) => {
      const reasonCode = reasonCodeOf(packet)
      if (reasonCode >= 0x80) return fail(reasonText(reasonCode, reasonStringOf(packet)))
      if (error) return fail(error.message)
      timer.cancel()
      client.removeAllListeners('close')
      resolve(reasonCode)
    })
  })
}

function closeProblem({ client, lastReason }: OpenedClient): string {
  const reason = lastReason()
  if (reason) return `the server closed the connection: ${reason}`
  const hint = client.options.protocolVersion === 5 ? '' : ' (with --protocol 5 it can say why)'
  return `the server closed the connection before the ack${hint}`
}

function reasonCodeOf(packet: Packet | undefined): number {
  return isAnswer(packet) ? (packet.reasonCode ?? 0) : 0
}

function reasonStringOf(packet: Packet | undefined): string | undefined {
  return isAnswer(packet) ? packet.properties?.reasonString : undefined
}

type Answer = Extract<Packet, { cmd: 'puback' | 'pubrec' | 'pubcomp' }>

/** What ends a publish: with QoS 2 a PUBREC when it was refused. */
function isAnswer(packet: Packet | undefined): packet is Answer {
  return packet?.cmd === 'puback' || packet?.cmd === 'pubrec' || packet?.cmd === 'pubcomp'
}

function resultText(
  { topic, bytes, qos, reasonCode }: { topic: string; bytes: number; qos: number; reasonCode: number },
  { reasonText }: OpenedClient
): string {
  const size = `${bytes} ${bytes === 1 ? 'byte' : 'bytes'}`
  if (qos === 0) return `sent ${printable(topic)} (${size}, QoS 0: no ack)`
  return `published ${printable(topic)} (${size}), acked${reasonCode === 0 ? '' : `: ${reasonText(reasonCode)}`}`
}
