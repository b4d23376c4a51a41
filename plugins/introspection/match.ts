/** Whether a topic filter matches a topic name; both are legal. @see MQTT 5.0 section 4.7 */
export function topicMatches(filter: string, topic: string): boolean {
  const wanted = filter.split('/')
  const levels = topic.split('/')
  const isSystem = topic.startsWith('$')
  for (const [index, level] of wanted.entries()) {
    if (index === 0 && isSystem && (level === '#' || level === '+')) return false // [MQTT-4.7.2-1]
    if (level === '#') return true // also the parent level: section 4.7.1.2
    if (index >= levels.length || (level !== '+' && level !== levels[index])) return false
  }
  return wanted.length === levels.length
}
