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
  /** The {@link Router.version} of which it is. */
  readonly version: number
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
  readonly #isShared: boolean
  #nextStreamId = 1
  /** Of streams that have no row, where a store that is shared gives the ids. */
  #nextOwnId = -1
  #version = 0

  /**
   * @param maxTopicLevels topics and filters with more levels are refused.
   * @param isShared whether the store gives the ids of streams with rows, because several servers share it.
   */
  constructor(maxTopicLevels: number, isShared = false) {
    this.#maxTopicLevels = maxTopicLevels
    this.#isShared = isShared
  }

  get maxTopicLevels(): number {
    return this.#maxTopicLevels
  }

  /** Grows when a stream of other servers comes up: what was routed before must be routed again. */
  get version(): number {
    return this.#version
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
    if (known && streamId !== undefined) this.#renumber(known, streamId)
    if (known) return known
    const stream = new Stream<R>(
      streamId ?? (this.#isShared ? this.#nextOwnId-- : this.#nextStreamId),
      filter
    )
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

  /** A stream that sessions of other servers may read: messages are marked with it from now on. */
  share({ filter, streamId }: { readonly filter: string; readonly streamId: number }): void {
    const known = this.#byFilter.get(filter)
    if (known?.isShared && known.streamId === streamId) return
    const stream = this.stream(filter, streamId)
    stream.isShared = true
    this.#version++
    this.activate(stream)
  }

  /** Nobody reads these streams any more, here or elsewhere. */
  unshare(streamIds: readonly number[]): void {
    for (const streamId of streamIds) {
      const stream = this.#byId.get(streamId)
      if (!stream || stream.durable.size > 0) continue
      stream.isShared = false
      this.release(stream)
    }
  }

  /** A stream that lost a subscription: it is taken out with the last one. */
  release(stream: Stream<R>): void {
    this.#routes.clear()
    if (stream.durable.size === 0) stream.forget()
    if (stream.subscribers > 0 || stream.isShared) return
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
    const durable = streams.filter(stream => stream.durable.size > 0 || stream.isShared)
    const streamIds = durable.map(stream => stream.streamId)
    const route = {
      topic,
      streams,
      durable,
      streamIds,
      replayedIds: [REPLAY_STREAM, ...streamIds],
      counter: this.counters.counter(topic),
      queue: splitTopic(topic).queue,
      version: this.#version,
      isWild: durable.some(({ filter }) => isWild(splitTopic(filter).queue))
    }
    if (topic.length > MAX_COUNTED_LENGTH) return route
    if (this.#routes.size >= MAX_CACHED_TOPICS) this.#routes.clear()
    this.#routes.set(topic, route)
    return route
  }

  #renumber(stream: Stream<R>, streamId: number): void {
    if (stream.streamId === streamId) return
    this.#byId.delete(stream.streamId)
    stream.streamId = streamId
    this.#byId.set(streamId, stream)
    this.reserveId(streamId)
    this.#routes.clear()
  }
}
