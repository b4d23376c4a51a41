import { QueueError } from './errors.ts'

/** The two names of a message: `DB/CREATE/users` is queue `DB`, event `CREATE/users`. */
export interface QueueEvent {
  readonly queue: string
  readonly event: string
}

/** Most bytes of a topic in UTF-8. @see MQTT 3.1.1 and 5.0 section 1.5 (strings carry a 16-bit length) */
export const MAX_TOPIC_BYTES = 65_535

/** Splits a topic name, or a filter, at its first level. A topic of one level has the event ''. */
export function splitTopic(topic: string): QueueEvent {
  const slash = topic.indexOf('/')
  return slash < 0
    ? { queue: topic, event: '' }
    : { queue: topic.slice(0, slash), event: topic.slice(slash + 1) }
}

/** What is wrong with a topic name; `null` when it is legal. @see MQTT section 4.7 */
export function topicProblem(topic: string): string | null {
  if (topic.length === 0) return 'is empty'
  for (let i = 0; i < topic.length; i++) {
    const c = topic.charCodeAt(i)
    if (c === 43 || c === 35) return 'has a wildcard (+ or #), which only filters may have' // [MQTT-3.3.2-2]
    if (c === 0) return 'has the character U+0000' // [MQTT-1.5.4-2]
  }
  return Buffer.byteLength(topic) > MAX_TOPIC_BYTES ? 'is longer than 65,535 bytes' : null
}

/** What is wrong with a topic filter; `null` when it is legal. @see MQTT section 4.7.1 */
export function filterProblem(filter: string, maxLevels = Number.POSITIVE_INFINITY): string | null {
  return wildcardProblem(filter) ?? levelsProblem(filter, maxLevels)
}

function wildcardProblem(filter: string): string | null {
  if (filter.length === 0) return 'is empty' // [MQTT-4.7.3-1]
  if (filter.includes('\0')) return 'has the character U+0000'
  if (Buffer.byteLength(filter) > MAX_TOPIC_BYTES) return 'is longer than 65,535 bytes'
  if (!filter.includes('+') && !filter.includes('#')) return null
  const levels = filter.split('/')
  for (const [index, level] of levels.entries()) {
    if (level === '#') {
      if (index !== levels.length - 1) return 'has # before its last level' // [MQTT-4.7.1-1]
    } else if (level.includes('#')) return 'has # beside other characters in one level'
    else if (level.includes('+') && level !== '+') return 'has + beside other characters in one level' // [MQTT-4.7.1-2]
  }
  return null
}

/** Throws QUEUE_TOPIC_INVALID unless the name is legal and has at most `maxLevels` levels. */
export function assertTopic(topic: string, maxLevels = Number.POSITIVE_INFINITY): void {
  const problem = topicProblem(topic) ?? levelsProblem(topic, maxLevels)
  if (problem) throw new QueueError('QUEUE_TOPIC_INVALID', { detail: { topic: quote(topic), problem } })
}

/** Throws QUEUE_FILTER_INVALID unless the filter is legal and has at most `maxLevels` levels. */
export function assertFilter(filter: string, maxLevels = Number.POSITIVE_INFINITY): void {
  const problem = filterProblem(filter, maxLevels)
  if (problem) throw new QueueError('QUEUE_FILTER_INVALID', { detail: { filter: quote(filter), problem } })
}

/** Whether the first level of a filter is a wildcard: then it names no queue, and its messages may be of any. */
export function isWild(firstLevel: string): boolean {
  return firstLevel === '#' || firstLevel === '+'
}

/** Whether a filter can match a topic of this queue, `#` and `+` included. */
export function filterReachesQueue(filter: string, queue: string): boolean {
  const first = splitTopic(filter).queue
  if (first === queue) return true
  // [MQTT-4.7.2-1] a wildcard first level does not reach topics that start with $
  return isWild(first) && !queue.startsWith('$')
}

function levelsProblem(name: string, maxLevels: number): string | null {
  let levels = 1
  for (let at = name.indexOf('/'); at >= 0; at = name.indexOf('/', at + 1)) levels++
  return levels > maxLevels
    ? `has ${levels} levels, more than the limit of ${maxLevels} (maxTopicLevels)`
    : null
}

function quote(name: string): string {
  return JSON.stringify(name.length > 120 ? `${name.slice(0, 120)}…` : name)
}
