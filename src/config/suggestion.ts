import { closestMatch } from 'leven'

/**
 * The known name that was probably meant; `undefined` when none is near. Case, dashes and underscores do not count,
 * so `MQTT-PORT` is as good as `mqttPort`.
 */
export function nearestName<Name extends string>(name: string, known: readonly Name[]): Name | undefined {
  const plain = new Map(known.map(candidate => [plainForm(candidate), candidate]))
  const wanted = plainForm(name)
  const maxDistance = Math.max(2, Math.floor(wanted.length / 4)) // two: letters swapped
  const nearest = closestMatch(wanted, [...plain.keys()], { maxDistance })
  return nearest === undefined ? undefined : plain.get(nearest)
}

/** ` (did you mean X?)`, or nothing when no known name is near. */
export function didYouMean(name: string, known: readonly string[]): string {
  const nearest = nearestName(name, known)
  return nearest === undefined ? '' : ` (did you mean ${nearest}?)`
}

function plainForm(name: string): string {
  return name.toLowerCase().replaceAll(/[-_]/g, '')
}
