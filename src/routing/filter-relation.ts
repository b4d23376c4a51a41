import { isWild } from '../topic.ts'

/**
 * Whether every topic that the second filter matches is matched by the first as well. Both are legal.
 * @see MQTT section 4.7
 */
export function covers(first: string, second: string): boolean {
  const [wide, narrow] = [levelsOf(first), levelsOf(second)]
  // [MQTT-4.7.2-1] a wildcard in the first level does not match what begins with $
  if (isWild(wide[0]!) && narrow[0]!.startsWith('$')) return false
  for (const [i, level] of wide.entries()) {
    if (level === '#') return true // `a/#` matches `a` [MQTT-4.7.1-2]
    const other = narrow[i]
    if (other === undefined || other === '#') return false
    if (level !== '+' && level !== other) return false
  }
  return narrow.length === wide.length
}

/** The levels of a filter; of several that match the same topics the same ones. */
function levelsOf(filter: string): string[] {
  // a topic has at least one level, and is not empty
  if (filter === '+/#') return ['#']
  return filter === '/#' ? ['', '+', '#'] : filter.split('/')
}

/** Whether there is a topic that both filters match. Both are legal. */
export function meet(first: string, second: string): boolean {
  const [a, b] = [levelsOf(first), levelsOf(second)]
  if (isWild(a[0]!) && b[0]!.startsWith('$')) return false
  if (isWild(b[0]!) && a[0]!.startsWith('$')) return false
  for (let i = 0; ; i++) {
    const [one, other] = [a[i], b[i]]
    if (one === '#' || other === '#') return true
    if (one === undefined || other === undefined) return one === other
    if (one !== other && one !== '+' && other !== '+') return false
  }
}
