const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000]
] as const

/** A duration in its two largest units: `3 d 4 h`, `12 min 5 s`, `0 s`. */
export function durationText(durationMs: number): string {
  const largest = UNITS.findIndex(([, unitMs]) => durationMs >= unitMs)
  if (largest < 0) return '0 s'
  let restMs = durationMs
  const parts: string[] = []
  for (const [unit, unitMs] of UNITS.slice(largest, largest + 2)) {
    const count = Math.floor(restMs / unitMs)
    restMs -= count * unitMs
    if (count > 0) parts.push(`${count} ${unit}`)
  }
  return parts.join(' ')
}

/** How long ago a time was, of a time in ISO 8601; '' when there is none. */
export function ageText(time: string | null | undefined, nowMs: number): string {
  if (!time) return ''
  const at = Date.parse(time)
  return Number.isNaN(at) ? time : durationText(Math.max(0, nowMs - at))
}

/** A size in decimal units with three digits: `512 B`, `1.25 MB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${unit === 0 ? value : Number(value.toPrecision(3))} ${units[unit]}`
}

/** A count that may be unknown. */
export function countText(count: number | null): string | number {
  return count ?? '?'
}

/** A rate in messages per second with three digits: `0.25/s`, `1.2k/s`; a dash when there is none. */
export function rateText(perSecond: number | null): string {
  if (perSecond === null) return '?'
  if (perSecond === 0) return '-'
  const [value, unit] = perSecond >= 999.5 ? [perSecond / 1_000, 'k'] : [perSecond, '']
  return `${Number(value.toPrecision(3))}${unit}/s`
}
