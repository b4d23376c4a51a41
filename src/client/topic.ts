import { ClientError } from './errors.ts'

/** The two names of a message: `DB/CREATE/users` is event `CREATE/users` of queue `DB`. */
export interface QueueEvent {
  readonly queue: string
  readonly event: string
}

/** Splits a topic at its first level. A topic of one level has the event ''. */
export function splitTopic(topic: string): QueueEvent {
  const slash = topic.indexOf('/')
  if (slash < 0) return { queue: topic, event: '' }
  return { queue: topic.slice(0, slash), event: topic.slice(slash + 1) }
}

/** The topic to publish to. @throws ClientError CLIENT_TOPIC_INVALID */
export function topicOf(queue: string, event: string): string {
  const topic = joined(queue, event)
  if (/[+#]/.test(topic)) throw invalid(topic, 'has a wildcard (+ or #), which only subscriptions may have')
  return topic
}

/** The filter to subscribe to; queue and event may have wildcards. @throws ClientError CLIENT_TOPIC_INVALID */
export function filterOf(queue: string, event: string): string {
  const filter = joined(queue, event)
  const levels = filter.split('/')
  for (const [index, level] of levels.entries()) {
    if (level.length > 1 && /[+#]/.test(level))
      throw invalid(filter, 'has a wildcard beside other characters in one level')
    if (level === '#' && index !== levels.length - 1) throw invalid(filter, 'has # before its last level')
  }
  return filter
}

/** Whether a topic name matches a filter. @see MQTT section 4.7 */
export function filterMatches(filter: string, topic: string): boolean {
  // [MQTT-4.7.2-1] a wildcard first level does not reach topics that start with $
  if (topic.startsWith('$') && /^[+#]/.test(filter)) return false
  const levels = filter.split('/')
  const names = topic.split('/')
  for (const [index, level] of levels.entries()) {
    if (level === '#') return true
    if (index >= names.length || (level !== '+' && level !== names[index])) return false
  }
  return levels.length === names.length
}

/** The queue of `DB/#` is `DB` as well: `#` also matches its parent level. */
function joined(queue: string, event: string): string {
  if (typeof queue !== 'string' || queue === '') throw invalid(String(queue), 'the queue is empty')
  if (typeof event !== 'string') throw invalid(queue, 'the event is not a string')
  if (queue.includes('/'))
    throw invalid(queue, 'a queue is one level: give what is behind the / as the event')
  const name = event === '' ? queue : `${queue}/${event}`
  if (name.includes('\0')) throw invalid(name, 'has the character U+0000')
  if (new TextEncoder().encode(name).length > 65_535)
    throw invalid(`${name.slice(0, 60)}…`, 'is longer than 65,535 bytes')
  return name
}

function invalid(name: string, problem: string): ClientError {
  return new ClientError('CLIENT_TOPIC_INVALID', { detail: { name: JSON.stringify(name), problem } })
}
