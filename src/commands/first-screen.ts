import { isIPv4, isIPv6 } from 'node:net'
import { resolve } from 'node:path'
import type { Settings } from '../config/settings.ts'
import type { Address } from './serve.ts'
import { bold, yellow } from './terminal.ts'

/** What the first screen tells of. */
export interface StartedServer {
  readonly settings: Settings
  readonly version: string
  readonly aedesVersion: string
  /** Where it really listens. */
  readonly mqtt: Address
  readonly http: Address
  /** Whether clients must be known users. */
  readonly isGuarded: boolean
}

/** The text a server greets with: what listens where, where the data is, what to type next. */
export function firstScreen(server: StartedServer, coloured: boolean): string {
  const { mqtt, http, version, aedesVersion } = server
  const rows = [
    ['MQTT', `mqtt://${urlHost(mqtt.host)}:${mqtt.port}`],
    ['HTTP', `http://${urlHost(http.host)}:${http.port}`],
    ['WebSocket', `ws://${urlHost(http.host)}:${http.port}/mqtt`],
    ...storeRows(server.settings)
  ] as const
  return [
    bold(`Restante ${version}, a durable queue server for MQTT, on Aedes ${aedesVersion}`, coloured),
    '',
    ...rows.map(([name, value]) => `  ${name.padEnd(9)}  ${value}`),
    ...warnings(server).map(warning => yellow(`\nWarning: ${warning}`, coloured)),
    '',
    'To try it, in other terminals:',
    ...nextLines(mqtt, http).map(line => `  ${bold(line, coloured)}`),
    '',
    'Ctrl-C stops it.',
    ''
  ].join('\n')
}

function storeRows(settings: Settings): (readonly [string, string])[] {
  if (settings.store === 'memory') return [['Store', 'memory: everything is gone when the server stops']]
  if (settings.store === 'mongodb') {
    const name = settings.brokerName === '' ? [] : [['Broker', settings.brokerName] as const]
    return [['Store', `mongodb, at ${withoutPassword(settings.mongodbUrl)}`], ...name]
  }
  return [
    ['Store', `${settings.store}, in ${resolve(settings.data)}`],
    ['fsync', fsyncText(settings)]
  ]
}

/** The address of a database for people: without its password and options. */
function withoutPassword(url: string): string {
  return url.replace(/\?.*$/, '').replace(/^([\w+]+:\/\/)([^:@/]*):[^/]*@/, '$1$2:***@')
}

function fsyncText({ fsync, fsyncIntervalMs }: Settings): string {
  if (fsync === 'always') return 'always: a message is acked when it is on the disk'
  const risk = 'survives a kill of the server, but a power cut may cost what was acked'
  if (fsync === 'interval') return `interval: ${risk} in the last ${fsyncIntervalMs} ms`
  return `off: ${risk} since the system last wrote to the disk (often 30 s)`
}

function warnings({ mqtt, http, isGuarded }: StartedServer): string[] {
  const open = [mqtt, http].find(address => !isLoopback(address.host))
  if (!open || isGuarded) return []
  return [`it listens on ${open.host} and has no users: whoever reaches it can read and publish everything.`]
}

/** Lines to type, with the real addresses wherever they are not what the programs use by themselves. */
function nextLines(mqtt: Address, http: Address): string[] {
  const host = reachableHost(mqtt.host)
  const where = (host === '127.0.0.1' ? '' : ` -h ${host}`) + (mqtt.port === 1883 ? '' : ` -p ${mqtt.port}`)
  const base = `http://${urlHost(reachableHost(http.host))}:${http.port}`
  return [
    `mosquitto_sub${where} -i logger -c -q 1 -t DB/CREATE`,
    `mosquitto_pub${where} -q 1 -t DB/CREATE -m '{"id":1}'`,
    `npx restante sessions${base === 'http://127.0.0.1:8080' ? '' : ` --http ${base}`}`,
    `curl ${base}/v1/sessions/logger`
  ]
}

/** The address by which this machine reaches a server that listens on every address. */
function reachableHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  return host === '::' ? '::1' : host
}

function urlHost(host: string): string {
  return isIPv6(host) ? `[${host}]` : host
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}
