import { type Check, same } from '../checks.ts'
import { type Message, payloadsOf, type Tools } from './tools.ts'

const AWAY_MESSAGES = 500

/** Checks of what every version of MQTT has, as far as the tools show it. */
export class EveryVersion {
  readonly tools: Tools

  constructor(tools: Tools) {
    this.tools = tools
  }

  checks(): Check[] {
    return [
      ['messages of QoS 0, 1 and 2 arrive once each at their QoS', () => this.#threeQos()],
      ['a subscription lowers the QoS of what it gets', () => this.#loweredQos()],
      ['a session that was away gets what it missed in order, then live', () => this.#away()],
      ['a clean session keeps nothing', () => this.#clean()],
      ['a retained message comes with the flag until it is replaced or cleared', () => this.#retained()],
      ['a will is sent when the connection is cut', () => this.#willSent()],
      ['no will is sent after a clean disconnect', () => this.#willDropped()]
    ]
  }

  /** What makes a session outlive its connection, in seconds from MQTT 5 on. */
  durable(seconds = 3_600): string[] {
    return this.tools.version === '5' ? ['-c', '-x', String(seconds)] : ['-c']
  }

  async #threeQos(): Promise<void> {
    const subscriber = await this.tools.subscribe('three-sub', { filters: ['three/#'] })
    const payloads = Array.from({ length: 20 }, (_, number) => `number ${number}`)
    for (const qos of [0, 1, 2]) {
      await this.tools.publish(`three/${qos}`, payloads, '-q', String(qos))
      const got = await subscriber.take(payloads.length)
      same(
        got.map(message => [message.topic, message.qos, message.payload]),
        payloads.map(payload => [`three/${qos}`, qos, payload])
      )
    }
    await this.tools.publish('three/end', 'end', '-q', '2')
    same(await subscriber.before('end'), [])
    await subscriber.cut()
  }

  async #loweredQos(): Promise<void> {
    for (const qos of [0, 1, 2]) {
      const subscriber = await this.tools.subscribe(`lowered-${qos}`, { filters: ['lowered/+'], qos })
      for (const sent of [0, 1, 2]) {
        await this.tools.publish('lowered/x', `sent at ${sent}`, '-q', String(sent))
        const [got] = await subscriber.take(1)
        same([got?.payload, got?.qos], [`sent at ${sent}`, Math.min(sent, qos)])
      }
      await subscriber.cut()
    }
  }

  async #away(): Promise<void> {
    const session = { filters: ['away/#'], args: this.durable() }
    await this.tools.subscribeAndLeave('away', session)
    const missed = Array.from({ length: AWAY_MESSAGES }, (_, number) => `missed ${number}`)
    const half = AWAY_MESSAGES / 2
    await this.tools.publish('away/a', missed.slice(0, half), '-q', '1')
    await this.tools.publish('away/b', missed.slice(half), '-q', '2')
    const again = await this.tools.subscribe('away', session)
    await this.tools.publish('away/c', 'live', '-q', '2')
    const got = await again.take(AWAY_MESSAGES + 1)
    same(payloadsOf(got), [...missed, 'live'])
    same(
      got.map(message => message.qos),
      got.map((_, index) => (index < half ? 1 : 2))
    )
    await again.cut()
  }

  async #clean(): Promise<void> {
    const filters = ['clean/#']
    await this.tools.subscribeAndLeave('clean', { filters, args: this.durable() })
    await this.tools.publish('clean/a', 'missed', '-q', '1')
    await this.tools.subscribeAndLeave('clean', { filters: ['other/#'] })
    await this.tools.publish('clean/a', 'missed too', '-q', '1')
    const again = await this.tools.subscribe('clean', { filters, args: this.durable() })
    await this.tools.publish('clean/a', 'end', '-q', '1')
    same(await again.before('end'), [])
    await again.cut()
  }

  async #retained(): Promise<void> {
    const live = await this.tools.subscribe('retained-live', { filters: ['retained/a'], qos: 1 })
    for (const [payload, qos] of [
      ['one', 1],
      ['two', 2],
      ['three', 0],
      ['four', 1]
    ] as const) {
      await this.tools.publish('retained/a', payload, '-r', '-q', String(qos))
      const [got] = await live.take(1)
      same([got?.payload, got?.retain], [payload, false])
    }
    same(await this.#retainedFor('retained-new'), [['four', 1, true]])
    await this.tools.publish('retained/a', '', '-r', '-q', '1')
    same(payloadsOf(await live.take(1)), [''])
    same(await this.#retainedFor('retained-newer'), [])
    await live.cut()
  }

  /** Payload, QoS and flag of what a new subscription gets before the next live message. */
  async #retainedFor(clientId: string): Promise<unknown[]> {
    const subscriber = await this.tools.subscribe(clientId, { filters: ['retained/+'], qos: 1 })
    await this.tools.publish('retained/b', 'live', '-q', '1')
    const got = await subscriber.before('live')
    await subscriber.cut()
    return got.map((message: Message) => [message.payload, message.qos, message.retain])
  }

  /** Arguments for a will. */
  will(topic: string, payload: string, qos: number): string[] {
    return ['--will-topic', topic, '--will-payload', payload, '--will-qos', String(qos)]
  }

  async #willSent(): Promise<void> {
    const watcher = await this.tools.subscribe('will-watcher', { filters: ['will/#'] })
    for (const qos of [0, 1, 2]) {
      const args = [...this.will('will/sent', `gone ${qos}`, qos), '--will-retain']
      await (await this.tools.subscribe(`will-${qos}`, { filters: ['none'], args })).cut()
      const [got] = await watcher.take(1)
      same([got?.topic, got?.payload, got?.qos], ['will/sent', `gone ${qos}`, qos])
    }
    const later = await this.tools.subscribe('will-later', { filters: ['will/sent'] })
    const [got] = await later.take(1)
    same([got?.payload, got?.retain], ['gone 2', true])
    await this.tools.publish('will/sent', '', '-r', '-q', '1')
    await later.cut()
    await watcher.cut()
  }

  async #willDropped(): Promise<void> {
    const watcher = await this.tools.subscribe('no-will-watcher', { filters: ['no-will/#'] })
    const leaver = { filters: ['none'], args: this.will('no-will/a', 'gone', 1) }
    await this.tools.subscribeAndLeave('no-will', leaver)
    await this.tools.subscribeAndLeave('no-will', { filters: ['none'] }) // the server is done with the older connection
    await this.tools.publish('no-will/b', 'end', '-q', '1')
    same(await watcher.before('end'), [])
    await watcher.cut()
  }
}
