import { randomBytes } from 'node:crypto'
import type { IClientOptions, IConnackPacket, IDisconnectPacket, MqttClient } from 'mqtt'
import type { Options } from 'yargs'
import { systemClock } from '../clock.ts'
import { errorText, systemCode } from '../errors.ts'
import { type Arguments, CommandError, countArgument, EXIT, textArgument } from './command.ts'
import { printable } from './terminal.ts'

/** The options by which a command finds and speaks to a server over MQTT. */
export const connectionOptions: Readonly<Record<string, Options>> = {
  url: {
    requiresArg: true,
    describe:
      'Server: mqtt, mqtts, ws or wss URL, with user and password if it asks for them (also RESTANTE_URL)',
    defaultDescription: 'mqtt://127.0.0.1:1883'
  },
  protocol: { requiresArg: true, describe: 'MQTT version: 4 (is 3.1.1) or 5', defaultDescription: '5' },
  'timeout-ms': {
    requiresArg: true,
    describe: 'Milliseconds to wait for the answer of the server',
    defaultDescription: '10000'
  }
}

/** Where and how to connect. */
export interface ConnectionTarget {
  readonly url: string
  readonly protocolVersion: 4 | 5
  readonly timeoutMs: number
}

const CLOSE_MS = 2000
const SCHEMES = ['mqtt:', 'mqtts:', 'ws:', 'wss:']

/** @throws CommandError (usage) when an option is wrong. */
export function connectionTarget(args: Arguments): ConnectionTarget {
  const url = textArgument(args, 'url') ?? (process.env.RESTANTE_URL || 'mqtt://127.0.0.1:1883')
  if (!SCHEMES.some(scheme => url.startsWith(`${scheme}//`)) || !URL.canParse(url)) {
    const problem = `the server's URL: expected one such as mqtt://127.0.0.1:1883, found ${JSON.stringify(url)}`
    throw new CommandError(problem, { exitCode: EXIT.usage })
  }
  const protocolVersion = (countArgument(args, 'protocol', { min: 4, max: 5 }) ?? 5) as 4 | 5
  const timeoutMs = countArgument(args, 'timeout-ms', { min: 1, max: 3_600_000 }) ?? 10_000
  return { url, protocolVersion, timeoutMs }
}

/** A URL as it may be shown: without the password. */
export function shownUrl(url: string): string {
  const shown = new URL(url)
  if (shown.password) shown.password = '***'
  return shown.href.replace(/\/$/, '')
}

/** A client id for a connection that leaves nothing behind. */
export function randomClientId(): string {
  return `restante-${randomBytes(6).toString('hex')}`
}

/** A connection under way, and what the server says about it. */
export interface OpenedClient {
  readonly client: MqttClient
  /** Resolves when the server has accepted the connection; rejects with a CommandError. */
  readonly accepted: Promise<void>
  /** Reason code of the last refusing CONNACK or of the last DISCONNECT; 0 when there was none, or it gave none. */
  lastReasonCode(): number
  /** The same for people; '' when there was none. */
  lastReason(): string
  /** A reason code for people: `0x87 Not authorized (the server's own words)`. @see MQTT 5.0 section 2.4 */
  reasonText(reasonCode: number, reasonString?: string): string
}

/** Begins to connect. The client is handed out at once, so that handlers are in place before the first message. */
export async function openClient(target: ConnectionTarget, options: IClientOptions): Promise<OpenedClient> {
  const { connect, ReasonCodes } = await import('mqtt')
  const names: Readonly<Record<number, string>> = ReasonCodes
  const reasonText = (code: number, words?: string): string =>
    [`0x${code.toString(16).padStart(2, '0')}`, names[code], words && `(${printable(words)})`]
      .filter(Boolean)
      .join(' ')
  let last = { code: 0, words: undefined as string | undefined }
  const client = connect(target.url, {
    protocolVersion: target.protocolVersion,
    connectTimeout: target.timeoutMs,
    reconnectPeriod: 0,
    ...options
  })
  client.on('packetreceive', packet => {
    if (packet.cmd === 'connack' || packet.cmd === 'disconnect') last = verdictOf(packet)
  })
  const lastReason = (): string => (last.code === 0 ? '' : reasonText(last.code, last.words))
  const accepted = acceptance(client, error => connectProblem(target.url, error, lastReason()))
  return { client, accepted, lastReasonCode: () => last.code, lastReason, reasonText }
}

/** Ends a connection with a DISCONNECT, behind everything already sent. */
export async function closeClient(client: MqttClient): Promise<void> {
  // a server that keeps the connection open must not keep us
  const timer = systemClock.after(CLOSE_MS, () => client.stream.destroy())
  await client.endAsync(!client.connected)
  timer.cancel()
}

function acceptance(client: MqttClient, problemOf: (error?: Error) => string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error?: Error): void => {
      client.on('error', () => {}) // one reason is enough
      client.end(true)
      reject(new CommandError(problemOf(error), { cause: error }))
    }
    client.once('error', fail)
    client.once('close', fail)
    client.once('connect', () => {
      client.off('error', fail)
      client.off('close', fail)
      resolve()
    })
  })
}

function verdictOf(packet: IConnackPacket | IDisconnectPacket): { code: number; words: string | undefined } {
  const code = packet.reasonCode ?? ('returnCode' in packet ? packet.returnCode : 0) ?? 0
  return { code, words: packet.properties?.reasonString }
}

function connectProblem(url: string, error: Error | undefined, verdict: string): string {
  const server = shownUrl(url)
  if (verdict) return `${server} refused the connection: ${verdict}`
  const code = systemCode(error)
  if (code === 'ECONNREFUSED') {
    return `nothing listens at ${server}: start a server with "restante start", or name another with --url`
  }
  if (error?.message === 'connack timeout') return `${server} did not answer in time: is it an MQTT server?`
  const reason = (error && errorText(error)) || code
  return reason
    ? `${server} cannot be reached: ${reason}`
    : `${server} closed the connection: is it an MQTT server?`
}
