import { printable } from './terminal.ts'

/** A name and what is so called; null: not known. */
export type Fact = readonly [name: string, value: string | number | null]

/** Facts one a line, in two columns. */
export function factsText(facts: readonly Fact[]): string {
  const width = Math.max(...facts.map(([name]) => name.length))
  return facts.map(([name, value]) => `${name.padEnd(width)}  ${printable(String(value ?? '?'))}`).join('\n')
}
