import type { Summary } from './event-log.ts'

/** A summary for people. */
export function summaryText({ events, lastNumber, byDay, byUser }: Summary): string {
  if (events === 0) return 'no customers logged yet'
  const last = `${events} ${events === 1 ? 'customer' : 'customers'} logged, the last with number ${lastNumber}`
  return [last, ...table('by day', byDay), ...table('by user', byUser)].join('\n')
}

function table(title: string, counts: Readonly<Record<string, number>>): string[] {
  const names = Object.keys(counts).map(name => name.replaceAll(/\p{Cc}/gu, '?'))
  const width = Math.max(...names.map(name => name.length))
  const digits = Math.max(...Object.values(counts).map(count => String(count).length))
  const lines = Object.values(counts).map(
    (count, index) => `  ${names[index]!.padEnd(width)}  ${String(count).padStart(digits)}`
  )
  return ['', title, ...lines]
}
