import type { ExecutionContext } from 'ava'
import { checkDeliveries, Ledger } from './load.ts'
import type { Before } from './load-flight.ts'
import { LoadPublisher } from './load-publisher.ts'
import { LoadSubscriber, type SubscriberOptions } from './load-subscriber.ts'

/** Publishers and persistent subscribers around one server that may be killed and started again. */
export class LoadScene {
  readonly ledger = new Ledger()
  readonly publishers: LoadPublisher[] = []
  readonly subscribers: LoadSubscriber[] = []
  #port: number

  constructor(port: number) {
    this.#port = port
  }

  /** Connects publishers `load/1` to `load/<count>`, every other one with MQTT 5. */
  async addPublishers(
    count: number,
    options: { window?: number; payloadBytes?: number } = {}
  ): Promise<void> {
    for (let publisher = 1; publisher <= count; publisher++) {
      const topic = `load/${publisher}`
      const isV5 = publisher % 2 === 0
      this.publishers.push(
        new LoadPublisher(this.ledger, { ...options, port: this.#port, publisher, topic, isV5 })
      )
    }
    await Promise.all(this.publishers.map(publisher => publisher.connect()))
  }

  /** Connects and subscribes a session to all publishers' topics. */
  async addSubscriber(options: Omit<SubscriberOptions, 'port' | 'filter'>): Promise<LoadSubscriber> {
    const subscriber = new LoadSubscriber(this.ledger, { ...options, port: this.#port, filter: 'load/#' })
    await subscriber.subscribe()
    this.subscribers.push(subscriber)
    return subscriber
  }

  /** Lets all publishers publish until {@link stop}. */
  runFreely(): void {
    for (const publisher of this.publishers) publisher.runFreely()
  }

  /** Waits until the server's end has closed every connection. */
  async closed(): Promise<void> {
    await Promise.all([...this.publishers, ...this.subscribers].map(client => client.closed()))
  }

  /** Connects everybody to a server that was started again; publishers send again what was in flight. */
  async reconnect(port: number, before: Before): Promise<void> {
    this.#port = port
    await Promise.all(this.subscribers.map(subscriber => subscriber.connect(before, port)))
    await Promise.all(this.publishers.map(publisher => publisher.connect(port)))
  }

  /** Stops publishing and waits until all that was sent is acked. */
  async settle(): Promise<void> {
    for (const publisher of this.publishers) publisher.stop()
    const settled = await Promise.all(this.publishers.map(publisher => publisher.settled()))
    if (settled.includes(false)) throw new Error('a publisher lost its connection')
  }

  /** Each publisher publishes so many more messages, and all of it is acked. */
  async publishMore(count: number): Promise<void> {
    const publishing = this.publishers.map(publisher => publisher.publishUpTo(publisher.sent + count))
    if ((await Promise.all(publishing)).includes(false)) throw new Error('a publisher lost its connection')
  }

  /** The last message of each publisher: whoever has these has got all that was left for him. */
  lastMessages(): string[] {
    return this.publishers.map((publisher, index) => `${index + 1}:${publisher.sent}`)
  }

  /** Asserts every promise about the subscribers, which have got all they will get. */
  check(t: ExecutionContext, { mayLose = false } = {}): void {
    for (const subscriber of this.subscribers) {
      subscriber.finish()
      t.deepEqual(checkDeliveries(this.ledger, subscriber, mayLose), [])
    }
    t.deepEqual(this.ledger.violations, [])
  }
}
