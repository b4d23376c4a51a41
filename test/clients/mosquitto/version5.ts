import { type Check, Expiry, same } from '../checks.ts'
import { EveryVersion } from './every-version.ts'
import { type Message, payloadsOf } from './tools.ts'

/** Fields of `mosquitto_sub`: payload format, content type, response topic, correlation data, user properties. */
const PASSED_ON = ['%F', '%C', '%R', '%D', '%P']
/** Arguments that set them. */
const PROPERTIES = [
  ['payload-format-indicator', '1'],
  ['content-type', 'text/plain'],
  ['response-topic', 'answers/here'],
  ['correlation-data', 'c-1'],
  ['user-property', 'b', '1'],
  ['user-property', 'a', '2'],
  ['user-property', 'b', '1']
]
const EXPECTED = ['1', 'text/plain', 'answers/here', 'c-1', 'b:1 a:2 b:1']

/** All checks of MQTT 5; what has to expire is prepared first and looked at last. */
export class Version5 extends EveryVersion {
  readonly #expiry = new Expiry()

  override checks(): Check[] {
    return [
      ['what is to expire is prepared', () => this.#prepareExpiry()],
      ...super.checks(),
      ['the properties of a message arrive unchanged and in order', () => this.#properties()],
      ['topic aliases stand for their topics', () => this.#aliases()],
      ['a small Receive Maximum holds up nothing', () => this.#receiveMaximum()],
      ['a message that is too large for a client is left out', () => this.#packetSize()],
      ['acknowledgements carry reason codes', () => this.#reasonCodes()],
      ['a message names the subscriptions it comes from', () => this.#identifiers()],
      ['Retain As Published keeps the flag of live messages', () => this.#retainAsPublished()],
      ['a takeover tells the older connection 0x8E', () => this.#takeover()],
      ['a will carries its properties', () => this.#willProperties()],
      ['a will is sent after DISCONNECT 0x04', () => this.#willAskedFor()],
      ['message expiry arrives as what remains, expired messages do not', () => this.#messageExpiry()],
      ['a session lives as long as its expiry interval', () => this.#sessionExpiry()]
    ]
  }

  // ---- time passes

  async #prepareExpiry(): Promise<void> {
    await this.tools.subscribeAndLeave('expiry-away', { filters: ['expiry/#'], args: this.durable() })
    for (const [payload, seconds] of [
      ['short', '1'],
      ['long', '100']
    ] as const) {
      await this.tools.publish(
        'expiry/a',
        payload,
        '-q',
        '1',
        '-D',
        'publish',
        'message-expiry-interval',
        seconds
      )
    }
    await this.tools.publish('expiry/a', 'end', '-q', '1')
    for (const seconds of [1, 100]) {
      const session = { filters: [`session/${seconds}`], args: this.durable(seconds) }
      await this.tools.subscribeAndLeave(`session-${seconds}`, session)
    }
    this.#expiry.begin()
  }

  async #messageExpiry(): Promise<void> {
    await this.#expiry.passed()
    const session = { filters: ['expiry/#'], args: this.durable(), fields: ['%E'] }
    const away = await this.tools.subscribe('expiry-away', session)
    const got = await away.before('end')
    same(payloadsOf(got), ['long'])
    const remaining = Number(got[0]?.more[0])
    same([remaining, remaining > 50 && remaining <= 98], [remaining, true])
    await away.cut()
  }

  async #sessionExpiry(): Promise<void> {
    await this.#expiry.passed()
    for (const [seconds, expected] of [
      [1, []],
      [100, ['missed']]
    ] as const) {
      await this.tools.publish(`session/${seconds}`, 'missed', '-q', '1')
      const session = { filters: [`session/${seconds}`], args: this.durable(seconds) }
      const again = await this.tools.subscribe(`session-${seconds}`, session)
      await this.tools.publish(`session/${seconds}`, 'end', '-q', '1')
      same(payloadsOf(await again.before('end')), expected)
      await again.cut()
    }
  }

  // ---- messages

  async #properties(): Promise<void> {
    const options = { filters: ['props/#'], fields: PASSED_ON }
    const session = { ...options, args: this.durable() }
    await this.tools.subscribeAndLeave('props-away', session)
    const live = await this.tools.subscribe('props', options)
    const properties = PROPERTIES.flatMap(words => ['-D', 'publish', ...words])
    for (const qos of ['0', '1', '2']) {
      await this.tools.publish('props/a', `sent at ${qos}`, '-q', qos, '-r', ...properties)
      sameProperties(await live.take(1), `sent at ${qos}`)
    }
    const away = await this.tools.subscribe('props-away', { ...session, args: [...session.args, '-R'] })
    for (const qos of ['1', '2']) sameProperties(await away.take(1), `sent at ${qos}`)
    const late = await this.tools.subscribe('props-late', options)
    sameProperties(await late.take(1), 'sent at 2')
    await this.tools.publish('props/a', '', '-r', '-q', '1')
    for (const subscriber of [live, away, late]) await subscriber.cut()
  }

  async #aliases(): Promise<void> {
    const subscriber = await this.tools.subscribe('alias-sub', { filters: ['alias/#'] })
    const payloads = Array.from({ length: 10 }, (_, number) => `number ${number}`)
    const alias = ['-D', 'publish', 'topic-alias', '1']
    for (const [topic, qos] of [
      ['alias/one', '0'],
      ['alias/two', '1'],
      ['alias/three', '2']
    ] as const) {
      const said = await this.tools.publish(topic, payloads, '-q', qos, ...alias)
      same(said.match(/'\(null\)'/g)?.length, payloads.length - 1) // all but the first without a topic
      const got = await subscriber.take(payloads.length)
      same(
        got.map(message => [message.topic, message.payload]),
        payloads.map(payload => [topic, payload])
      )
    }
    await subscriber.cut()
  }

  async #receiveMaximum(): Promise<void> {
    for (const window of ['1', '2', '10']) {
      const topic = `window/${window}`
      const args = [...this.durable(), '-D', 'connect', 'receive-maximum', window]
      const session = { filters: [topic], args }
      await this.tools.subscribeAndLeave(`window-${window}`, session)
      const payloads = Array.from({ length: 60 }, (_, number) => `number ${number}`)
      await this.tools.publish(topic, payloads.slice(0, 30), '-q', '1')
      await this.tools.publish(topic, payloads.slice(30), '-q', '2')
      const again = await this.tools.subscribe(`window-${window}`, session)
      same(payloadsOf(await again.take(payloads.length)), payloads)
      await again.cut()
    }
  }

  async #packetSize(): Promise<void> {
    const args = ['-D', 'connect', 'maximum-packet-size', '200']
    const subscriber = await this.tools.subscribe('small', { filters: ['small/#'], qos: 1, args })
    const [first, large, last] = ['x'.repeat(100), 'y'.repeat(300), 'z'.repeat(100)]
    await this.tools.publish('small/a', [first, large, last, 'end'], '-q', '1')
    same(payloadsOf(await subscriber.before('end')), [first, last])
    await subscriber.cut()
  }

  async #reasonCodes(): Promise<void> {
    for (const qos of [0, 1, 2]) {
      const said = await this.tools.subscribeAndLeave('codes', { filters: ['codes/a', 'codes/b'], qos })
      same(/^Subscribed .*$/m.exec(said)?.[0], `Subscribed (mid: 1): ${qos}, ${qos}`)
    }
    const subscriber = await this.tools.subscribe('codes', { filters: ['codes/a'] })
    for (const [qos, answer] of [
      ['1', 'PUBACK'],
      ['2', 'PUBREC']
    ] as const) {
      const heard = await this.tools.publish('codes/a', 'x', '-q', qos)
      same(heard.includes(`received ${answer} (Mid: 1${qos === '1' ? ', RC:0' : ''})`), true)
      const lost = await this.tools.publish('codes/nobody', 'x', '-q', qos)
      same(/received (PUBACK \(Mid: 1, RC:(0|16)\)|PUBREC \(Mid: 1\))/.test(lost), true)
    }
    await subscriber.cut()
  }

  // ---- subscriptions

  async #identifiers(): Promise<void> {
    const identifier = ['-D', 'subscribe', 'subscription-identifier', '268435455']
    const subscriber = await this.tools.subscribe('ids', {
      filters: ['ids/#'],
      args: identifier,
      fields: ['%S']
    })
    const without = await this.tools.subscribe('ids-without', { filters: ['ids/#'], fields: ['%S'] })
    await this.tools.publish('ids/a', 'x', '-q', '1')
    same((await subscriber.take(1))[0]?.more, ['268435455'])
    same((await without.take(1))[0]?.more, [''])
    await subscriber.cut()
    await without.cut()
  }

  async #retainAsPublished(): Promise<void> {
    for (const [args, keeps] of [
      [['--retain-as-published'], true],
      [[], false]
    ] as const) {
      const subscriber = await this.tools.subscribe('as-published', { filters: ['as-published/#'], args })
      for (const qos of ['0', '1', '2']) {
        await this.tools.publish('as-published/a', 'kept', '-r', '-q', qos)
        same((await subscriber.take(1))[0]?.retain, keeps)
        await this.tools.publish('as-published/a', 'not kept', '-q', qos)
        same((await subscriber.take(1))[0]?.retain, false)
      }
      await this.tools.publish('as-published/a', '', '-r', '-q', '1')
      await subscriber.cut()
    }
  }

  // ---- ends

  async #takeover(): Promise<void> {
    const session = { filters: ['takeover/#'], args: this.durable() }
    const older = await this.tools.subscribe('takeover', session)
    const newer = this.tools.subscribe('takeover', session)
    await older.says(/received DISCONNECT \(142\)/i)
    await (await newer).cut()
  }

  async #willProperties(): Promise<void> {
    const watcher = await this.tools.subscribe('will-watcher', {
      filters: ['will-properties/#'],
      fields: PASSED_ON
    })
    const properties = PROPERTIES.flatMap(words => ['-D', 'will', ...words])
    const args = [...this.will('will-properties/a', 'gone', 2), ...properties]
    await (await this.tools.subscribe('will-properties', { filters: ['none'], args })).cut()
    sameProperties(await watcher.take(1), 'gone')
    await watcher.cut()
  }

  /** When its time is up, the tool asks for its will. */
  async #willAskedFor(): Promise<void> {
    const watcher = await this.tools.subscribe('will-asked-watcher', { filters: ['will-asked/#'] })
    const args = [...this.will('will-asked/a', 'gone', 1), '-W', '1']
    await this.tools.subscribe('will-asked', { filters: ['none'], args })
    same(payloadsOf(await watcher.take(1)), ['gone'])
    await watcher.cut()
  }
}

function sameProperties(got: readonly Message[], payload: string): void {
  same([got[0]?.payload, got[0]?.more], [payload, EXPECTED])
}
