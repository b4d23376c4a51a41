import type { IClientOptions } from 'mqtt'
import { type Check, Expiry, same } from '../checks.ts'
import { EveryVersion } from './every-version.ts'
import { type Peer, payloadsOf, type Will } from './peer.ts'
import { messageChecks } from './version5-messages.ts'
import { subscriptionChecks } from './version5-subscriptions.ts'

const HOUR_SECONDS = 3_600
/** Of a will; enough for another to be back in time. A timer may be a little early. */
const DELAY_SECONDS = 2
const LEAST_DELAY_MS = 1_900

/** All checks of MQTT 5; what has to expire is prepared first and looked at last. */
export class Version5 extends EveryVersion {
  readonly #expiry = new Expiry()

  constructor(url: string) {
    super(url, '5')
  }

  override checks(): Check[] {
    return [
      ['what is to expire is prepared', () => this.#prepareExpiry()],
      ...super.checks(),
      ...messageChecks(this),
      ...subscriptionChecks(this),
      ['the session expiry of a DISCONNECT counts', () => this.#sessionEnded()],
      ['an empty client id is given one', () => this.#assigned()],
      ['a takeover tells the older connection 0x8E', () => this.#takeover()],
      ['an authentication method is refused with 0x8C', () => this.#authentication()],
      ['a will carries its properties', () => this.#willProperties()],
      ['a will is sent after DISCONNECT 0x04', () => this.#willAskedFor()],
      ['a delayed will waits, and is not sent when the session resumes', () => this.#willDelayed()],
      ['message expiry arrives as what remains, expired messages do not', () => this.#messageExpiry()],
      ['a session lives as long as its expiry interval', () => this.#sessionExpiry()]
    ]
  }

  override session(clientId: string, options: IClientOptions = {}): Promise<Peer> {
    return this.sessionFor(clientId, HOUR_SECONDS, options)
  }

  /** Connects with a session that outlives the connection by so many seconds. */
  sessionFor(clientId: string, sessionExpiryInterval: number, options: IClientOptions = {}): Promise<Peer> {
    return this.peer(clientId, { clean: false, properties: { sessionExpiryInterval }, ...options })
  }

  // ---- time passes

  async #prepareExpiry(): Promise<void> {
    const away = await this.session('expiry-away')
    await away.subscribe('expiry/#', { qos: 1 })
    await away.disconnect()
    const publisher = await this.peer('expiry-pub')
    const publish = (payload: string, properties: { messageExpiryInterval?: number }) =>
      publisher.publish('expiry/a', payload, { qos: 1, properties })
    await publish('short', { messageExpiryInterval: 1 })
    await publish('long', { messageExpiryInterval: 100 })
    await publish('end', {})
    await publisher.disconnect()
    await (await this.sessionFor('session-short', 1)).disconnect()
    await (await this.sessionFor('session-long', 100)).disconnect()
    this.#expiry.begin()
  }

  async #messageExpiry(): Promise<void> {
    await this.#expiry.passed()
    const away = await this.session('expiry-away')
    const got = await away.before('end')
    same(payloadsOf(got), ['long'])
    const remaining = got[0]?.properties.messageExpiryInterval ?? 0
    same([remaining, remaining > 50 && remaining <= 98], [remaining, true])
    await away.disconnect()
  }

  async #sessionExpiry(): Promise<void> {
    await this.#expiry.passed()
    for (const [clientId, isPresent] of [
      ['session-short', false],
      ['session-long', true]
    ] as const) {
      const peer = await this.session(clientId)
      same([clientId, peer.isSessionPresent], [clientId, isPresent])
      await peer.disconnect()
    }
  }

  // ---- sessions

  async #sessionEnded(): Promise<void> {
    await (await this.session('session-ended')).disconnect()
    const second = await this.session('session-ended')
    same(second.isSessionPresent, true)
    await second.disconnect({ properties: { sessionExpiryInterval: 0 } })
    for (const _ of [1, 2]) {
      const peer = await this.sessionFor('session-ended', 0) // ends with its connection
      same(peer.isSessionPresent, false)
      await peer.disconnect()
    }
  }

  async #assigned(): Promise<void> {
    const peers = [await this.peer(''), await this.peer('')]
    const names = new Set(peers.map(peer => peer.connack.properties?.assignedClientIdentifier))
    same([names.size, names.has(''), names.has(undefined)], [2, false, false])
    for (const peer of peers) await peer.disconnect()
  }

  async #takeover(): Promise<void> {
    const older = await this.session('takeover')
    await older.subscribe('takeover/#', { qos: 1 })
    const newer = await this.session('takeover')
    same(await older.ended(), 0x8e)
    same(newer.isSessionPresent, true)
    await newer.publish('takeover/a', 'end', { qos: 1 })
    same(await newer.before('end'), [])
    await newer.disconnect()
  }

  async #authentication(): Promise<void> {
    const code = await this.peer('authentication', { properties: { authenticationMethod: 'unknown' } }).then(
      () => 0,
      (error: { code?: number }) => error.code
    )
    same(code, 0x8c)
  }

  // ---- wills

  async #willProperties(): Promise<void> {
    const watcher = await this.peer('will-properties-watcher')
    await watcher.subscribe('will-properties/#', { qos: 2 })
    const passedOn = {
      payloadFormatIndicator: true,
      contentType: 'text/plain',
      responseTopic: 'answers/here',
      correlationData: Buffer.from([0, 255]),
      userProperties: { b: ['1', '3'], a: '2' }
    }
    const properties = { ...passedOn, willDelayInterval: 0, messageExpiryInterval: 500 }
    const will: Will = { topic: 'will-properties/a', payload: 'gone', qos: 2, retain: false, properties }
    await (await this.peer('will-properties', { will })).cut()
    const got = await watcher.next()
    const { messageExpiryInterval = 0, ...rest } = got.properties
    same(
      [got.payload, got.qos, { ...rest, userProperties: { ...rest.userProperties } }],
      ['gone', 2, passedOn]
    )
    same(messageExpiryInterval >= 495 && messageExpiryInterval <= 500, true)
    await watcher.disconnect()
  }

  async #willAskedFor(): Promise<void> {
    const watcher = await this.peer('will-asked-watcher')
    await watcher.subscribe('will-asked/#', { qos: 1 })
    const will: Will = { topic: 'will-asked/a', payload: 'gone', qos: 1, retain: false }
    await (await this.peer('will-asked', { will })).disconnect({ reasonCode: 0x04 })
    same((await watcher.next()).payload, 'gone')
    await watcher.disconnect()
  }

  async #willDelayed(): Promise<void> {
    const watcher = await this.peer('will-delayed-watcher')
    await watcher.subscribe('will-delayed/#', { qos: 1 })
    const leave = async (clientId: string, payload: string): Promise<void> => {
      const properties = { willDelayInterval: DELAY_SECONDS }
      const will: Will = { topic: 'will-delayed/a', payload, qos: 1, retain: false, properties }
      await (await this.session(clientId, { will })).cut()
    }
    await leave('will-delayed-1', 'late')
    const again = await this.session('will-delayed-1')
    const cutAt = performance.now()
    await leave('will-delayed-2', 'gone')
    same((await watcher.next()).payload, 'gone')
    same(performance.now() - cutAt >= LEAST_DELAY_MS, true)
    await again.publish('will-delayed/b', 'end', { qos: 1 })
    same(payloadsOf(await watcher.before('end')), [])
    await again.disconnect()
    await watcher.disconnect()
  }
}
