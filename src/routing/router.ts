import { isUtf8 } from 'node:buffer'
import type { Routed } from '../journal/batch.ts'
import { REPLAY_STREAM } from '../store/store.ts'
import { assertTopic, isWild, splitTopic } from '../topic.ts'
import { malformed } from '../wire/cursor.ts'
import { FilterTree } from './filter-tree.ts'
import { type Reader, Stream } from './stream.ts'
import type { TopicCounter } from './topic-counter.ts'
import { MAX_COUNTED_LENGTH, TopicCounters } from './topic-counters.ts'

const MAX_CACHED_TOPICS = 10_000
const REPLACEMENT = '\ufffd'

/** Where the messages of one topic go. */
export interface Route<R extends Reader> extends Routed {
  /** All matching streams. */
  readonly streams: readonly Stream<R>[]
  /** Those of them that keep messages for somebody. */
  readonly durable: readonly Stream<R>[]
  /** Their ids, and the same with the replay stream. */
  readonly streamIds: readonly number[]
  readonly replayedIds: readonly number[]
  readonly counter: TopicCounter
  /** The first level of the topic. */
  readonly queue: string
  /** Whether one of the durable streams has a filter whose first level is a wildcard. */
  readonly isWild: boolean
}

/** Distinct filters, and which of them a topic matches. */
export class Router<R extends Reader> {
  /** What was published to which topic. */
  readonly counters = new TopicCounters()
  readonly #tree = new FilterTree<Stream<R>>()
  readonly #byFilter = new Map<string, Stream<R>>()
  readonly #byId = new Map<number, Stream<R>>()
  #routes = new Map<string, Route<R>>()
  readonly #maxTopicLevels: number
  #nextStreamId = 1

  /** @param maxTopicLevels topics and filters with more levels are refused. */
  constructor(maxTopicLevels: number) {
    this.#maxTopicLevels = maxTopicLevels
  }

  get maxTopicLevels(): number {
    return this.#maxTopicLevels
  }

  get streams(): Iterable<Stream<R>> {
    return this.#byId.values()
  }

  streamById(streamId: number): Stream<R> | undefined {
    return this.#byId.get(streamId)
  }

  /** No new stream gets an id up to this one. */
  reserveId(streamId: number): void {
    if (streamId >= this.#nextStreamId) this.#nextStreamId = streamId + 1
  }

  /** The stream of a legal filter, made when there is none. It matches nothing before {@link activate}. */
  stream(filter: string, streamId?: number): Stream<R> {
    const known = this.#byFilter.get(filter)
    if (known) return known
    const stream = new Stream<R>(streamId ?? this.#nextStreamId, filter)
    this.reserveId(stream.streamId)
    this.#byFilter.set(filter, stream)
    this.#byId.set(stream.streamId, stream)
    return stream
  }

  /** Publishes are routed to the stream from now on; called again when a subscription of it changed. */
  activate(stream: Stream<R>): void {
    this.#tree.set(stream.filter, stream)
    this.#routes.clear()
  }

  /** A stream that lost a subscription: it is taken out with the last one. */
  release(stream: Stream<R>): void {
    this.#routes.clear()
    if (stream.subscribers > 0) return
    this.#tree.delete(stream.filter)
    this.#byFilter.delete(stream.filter)
    this.#byId.delete(stream.streamId)
  }

  /**
   * The route of the topic that stands in bytes[from .. to).
   * @throws QueueError QUEUE_TOPIC_INVALID, QUEUE_PACKET_MALFORMED (not UTF-8)
   */
  routeBytes(bytes: Buffer, from: number, to: number): Route<R> {
    const topic = bytes.toString('utf8', from, to)
    const known = this.#routes.get(topic)
    if (known === undefined || topic.includes(REPLACEMENT)) {
      // bad bytes decode to U+FFFD, which a good topic may have too
      if (!isUtf8(bytes.subarray(from, to))) throw malformed('the topic name is not valid UTF-8')
      if (topic.includes('\0')) throw malformed('the topic name has the character U+0000') // [MQTT-1.5.4-2]
    }
    return known ?? this.route(topic)
  }

  /** The route of a topic. @throws QueueError QUEUE_TOPIC_INVALID */
  route(topic: string): Route<R> {
    const known = this.#routes.get(topic)
    if (known) return known
    assertTopic(topic, this.#maxTopicLevels)
    const streams = this.#tree.match(topic)
    const durable = streams.filter(stream => stream.durable.size > 0)
    const streamIds = durable.map(stream => stream.streamId)
    const route = {
      topic,
      streams,
      durable,
      streamIds,
      replayedIds: [REPLAY_STREAM, ...streamIds],
      counter: this.counters.counter(topic),
      queue: splitTopic(topic).queue,
      isWild: durable.some(({ filter }) => isWild(splitTopic(filter).queue))
    }
    if (topic.length > MAX_COUNTED_LENGTH) return route
    if (this.#routes.size >= MAX_CACHED_TOPICS) this.#routes.clear()
    this.#routes.set(topic, route)
    return route
  }
}
