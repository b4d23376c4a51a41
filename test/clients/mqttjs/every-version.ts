import type { IClientOptions } from 'mqtt'
import { type Check, same } from '../checks.ts'
import { Peer, payloadsOf, type Version, type Will } from './peer.ts'

const AWAY_MESSAGES = 500
const LEVELS_OF_SERVICE = [0, 1, 2] as const

/** Checks of what every version of MQTT has. */
export class EveryVersion {
  readonly url: string
  readonly version: Version

  constructor(url: string, version: Version) {
    this.url = url
    this.version = version
  }

  checks(): Check[] {
    return [
      ['messages of QoS 0, 1 and 2 arrive once each at their QoS', () => this.#threeQos()],
      ['a subscription lowers the QoS of what it gets', () => this.#loweredQos()],
      ['an ended subscription gets nothing more', () => this.#unsubscribed()],
      ['a session that was away gets what it missed in order, then live', () => this.#away()],
      ['a clean session keeps nothing', () => this.#clean()],
      ['a retained message comes with the flag until it is replaced or cleared', () => this.#retained()],
      ['a will is sent when the connection is cut', () => this.#willSent()],
      ['no will is sent after a clean disconnect', () => this.#willDropped()]
    ]
  }

  /** Connects with a clean session. */
  peer(clientId: string, options: IClientOptions = {}): Promise<Peer> {
    return Peer.open(this.url, this.version, { clientId, ...options })
  }

  /** Connects with a session that outlives the connection. */
  session(clientId: string, options: IClientOptions = {}): Promise<Peer> {
    return this.peer(clientId, { clean: false, ...options })
  }

  async #threeQos(): Promise<void> {
    const [subscriber, publisher] = [await this.peer('three-sub'), await this.peer('three-pub')]
    same(await subscriber.subscribe('three/#', { qos: 2 }), 2)
    const expected: string[][] = [[], [], []]
    for (let number = 0; number < 20; number++) {
      for (const qos of LEVELS_OF_SERVICE) {
        expected[qos]!.push(`${qos}-${number}`)
        await publisher.publish(`three/${qos}`, `${qos}-${number}`, { qos })
      }
    }
    await publisher.publish('three/end', 'end', { qos: 2 })
    const got: string[][] = [[], [], []]
    for (const { topic, payload, qos } of await subscriber.before('end')) {
      same(topic, `three/${qos}`)
      got[qos]!.push(payload)
    }
    for (const qos of LEVELS_OF_SERVICE) same(got[qos], expected[qos])
    await subscriber.disconnect()
    await publisher.disconnect()
  }

  async #loweredQos(): Promise<void> {
    const publisher = await this.peer('lowered-pub')
    const subscribers: Peer[] = []
    for (const qos of LEVELS_OF_SERVICE) {
      const subscriber = await this.peer(`lowered-${qos}`)
      same(await subscriber.subscribe('lowered/+', { qos }), qos)
      subscribers.push(subscriber)
    }
    for (const sent of LEVELS_OF_SERVICE) {
      await publisher.publish('lowered/x', `sent at ${sent}`, { qos: sent })
      for (const [qos, subscriber] of subscribers.entries()) {
        const message = await subscriber.next()
        same([message.payload, message.qos], [`sent at ${sent}`, Math.min(sent, qos)])
      }
    }
    for (const peer of [publisher, ...subscribers]) await peer.disconnect()
  }

  async #unsubscribed(): Promise<void> {
    const peer = await this.peer('unsubscribed')
    await peer.subscribe('unsubscribed/a', { qos: 1 })
    await peer.subscribe('unsubscribed/b', { qos: 1 })
    await peer.publish('unsubscribed/a', 'before', { qos: 1 })
    same((await peer.next()).payload, 'before')
    await peer.client.unsubscribeAsync('unsubscribed/a')
    await peer.publish('unsubscribed/a', 'after', { qos: 1 })
    await peer.publish('unsubscribed/b', 'end', { qos: 1 })
    same(payloadsOf(await peer.before('end')), [])
    await peer.disconnect()
  }

  async #away(): Promise<void> {
    const first = await this.session('away-sub')
    same(first.isSessionPresent, false)
    await first.subscribe('away/#', { qos: 2 })
    await first.disconnect()
    const publisher = await this.peer('away-pub')
    const missed = Array.from({ length: AWAY_MESSAGES }, (_, number) => `missed ${number}`)
    const half = AWAY_MESSAGES / 2
    await publisher.publish('away/a', missed.slice(0, half), { qos: 1 })
    await publisher.publish('away/b', missed.slice(half), { qos: 2 })
    const again = await this.session('away-sub')
    if (this.version !== '3.1') same(again.isSessionPresent, true)
    await publisher.publish('away/c', 'live', { qos: 2 })
    const got = await again.take(AWAY_MESSAGES + 1)
    same(payloadsOf(got), [...missed, 'live'])
    same(
      got.map(message => message.qos),
      got.map((_, index) => (index < half ? 1 : 2))
    )
    await publisher.publish('away/c', 'end', { qos: 2 })
    same(payloadsOf(await again.before('end')), [])
    await again.disconnect()
    await publisher.disconnect()
  }

  async #clean(): Promise<void> {
    const first = await this.session('clean')
    await first.subscribe('clean/#', { qos: 1 })
    await first.disconnect()
    const publisher = await this.peer('clean-pub')
    await publisher.publish('clean/a', 'missed', { qos: 1 })
    const again = await this.peer('clean')
    same(again.isSessionPresent, false)
    await publisher.publish('clean/a', 'not subscribed', { qos: 1 })
    await again.subscribe('clean/#', { qos: 1 })
    await publisher.publish('clean/a', 'end', { qos: 1 })
    same(payloadsOf(await again.before('end')), [])
    await again.disconnect()
    const third = await this.session('clean')
    same(third.isSessionPresent, false)
    await third.disconnect()
    await publisher.disconnect()
  }

  async #retained(): Promise<void> {
    const [publisher, live] = [await this.peer('retained-pub'), await this.peer('retained-live')]
    await live.subscribe('retained/a', { qos: 1 })
    for (const [payload, qos] of [
      ['one', 1],
      ['two', 2],
      ['three', 0],
      ['four', 1]
    ] as const) {
      await publisher.publish('retained/a', payload, { qos, retain: true })
      const message = await live.next()
      same([message.payload, message.retain], [payload, false])
    }
    same(await this.#retainedFor('retained-new', publisher), [['four', 1, true]])
    await publisher.publish('retained/a', '', { qos: 1, retain: true })
    same((await live.next()).payload, '')
    same(await this.#retainedFor('retained-newer', publisher), [])
    await live.disconnect()
    await publisher.disconnect()
  }

  /** Payload, QoS and flag of what a new subscription gets before the next live message. */
  async #retainedFor(clientId: string, publisher: Peer): Promise<unknown[]> {
    const peer = await this.peer(clientId)
    await peer.subscribe('retained/+', { qos: 1 })
    await publisher.publish('retained/b', 'live', { qos: 1 })
    const got = await peer.before('live')
    await peer.disconnect()
    return got.map(message => [message.payload, message.qos, message.retain])
  }

  async #willSent(): Promise<void> {
    const watcher = await this.peer('will-watcher')
    await watcher.subscribe('will/#', { qos: 2 })
    for (const qos of LEVELS_OF_SERVICE) {
      const will: Will = { topic: 'will/sent', payload: `gone ${qos}`, qos, retain: true }
      await (await this.peer(`will-${qos}`, { will })).cut()
      const message = await watcher.next()
      same([message.topic, message.payload, message.qos], ['will/sent', `gone ${qos}`, qos])
    }
    const later = await this.peer('will-later')
    await later.subscribe('will/sent', { qos: 1 })
    const message = await later.next()
    same([message.payload, message.retain], ['gone 2', true])
    await later.publish('will/sent', '', { qos: 1, retain: true })
    await later.disconnect()
    await watcher.disconnect()
  }

  async #willDropped(): Promise<void> {
    const watcher = await this.peer('no-will-watcher')
    await watcher.subscribe('no-will/#', { qos: 1 })
    const will: Will = { topic: 'no-will/a', payload: 'gone', qos: 1, retain: false }
    await (await this.peer('no-will', { will })).disconnect()
    const again = await this.peer('no-will') // the server is done with the older connection
    await again.publish('no-will/b', 'end', { qos: 1 })
    same(payloadsOf(await watcher.before('end')), [])
    await again.disconnect()
    await watcher.disconnect()
  }
}
