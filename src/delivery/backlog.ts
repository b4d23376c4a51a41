import { covers, meet } from '../routing/filter-relation.ts'
import type { SequenceList } from '../routing/sequence-list.ts'
import { Merge } from './merge.ts'

/** So many steps fit into one share of a count. */
const STEPS_PER_SHARE = 2_000

/** Of more filters than these it is not worked out which of them overlap: all are merged. */
const MOST_COMPARED = 64

/** What a session is owed because of one of its filters: the messages of a list above a sequence. */
export interface Claim {
  readonly filter: string
  /** The lane of its sequences; claims of two lanes have nothing in common. */
  readonly lane: number
  readonly sequences: SequenceList
  readonly low: number
  /** Which of them count; left out: all. */
  readonly isCounted?: (sequence: number) => boolean
}

/**
 * Counts the messages of several claims, each once, without those that are marked as expired. A claim that another one
 * covers costs nothing, one that meets no other takes a step for each thousand entries; only filters that overlap in
 * part are gone through entry by entry. Yields after each share of the work.
 */
export function* countClaims(claims: readonly Claim[]): Generator<void, number> {
  let count = 0
  for (const lane of new Set(claims.map(claim => claim.lane))) {
    count += yield* countOfLane(claims.filter(claim => claim.lane === lane))
  }
  return count
}

function* countOfLane(claims: readonly Claim[]): Generator<void, number> {
  let count = 0
  const apart = claims.length > MOST_COMPARED ? [[...claims]] : groups(withoutCovered(claims))
  for (const group of apart) {
    const [only] = group
    if (group.length === 1 && !only!.isCounted) count += only!.sequences.countAfter(only!.low)
    else count += yield* countMerged(group)
  }
  return count
}

/** The same sequences in ascending order, each once, those that have expired left out. */
export function* sequencesOf(claims: readonly Claim[]): Generator<number, void> {
  const places = placesOf(claims)
  for (let top = places.top; top; top = places.top) {
    const sequence = top.next
    if (!top.sequences.isExpired(top.index)) yield sequence
    while (places.top?.next === sequence) step(places)
  }
}

interface Place {
  readonly sequences: SequenceList
  readonly isCounted: Claim['isCounted']
  index: number
  next: number
}

function* countMerged(claims: readonly Claim[]): Generator<void, number> {
  const places = placesOf(claims)
  let count = 0
  let steps = 0
  for (let top = places.top; top; top = places.top) {
    const sequence = top.next
    const isExpired = top.sequences.isExpired(top.index)
    let isCounted = false
    for (; top?.next === sequence; top = places.top) {
      isCounted ||= top.isCounted?.(sequence) ?? true
      step(places)
    }
    if (isCounted && !isExpired) count++
    if (++steps % STEPS_PER_SHARE === 0) yield
  }
  return count
}

function placesOf(claims: readonly Claim[]): Merge<Place> {
  const places = new Merge<Place>()
  for (const { sequences, low, isCounted } of claims) {
    const index = sequences.indexAfter(low)
    const next = sequences.at(index)
    if (next !== undefined) places.push({ sequences, isCounted, index, next })
  }
  return places
}

/** The top place moves on; over what was trimmed away meanwhile as well. */
function step(places: Merge<Place>): void {
  const top = places.top!
  const { sequences } = top
  if (sequences.at(++top.index) === undefined) top.index = sequences.indexAfter(top.next)
  const next = sequences.at(top.index)
  if (next === undefined) places.pop()
  else {
    top.next = next
    places.sink()
  }
}

function withoutCovered(claims: readonly Claim[]): Claim[] {
  const kept = new Set(claims)
  for (const claim of claims) {
    for (const other of kept) {
      if (other === claim || other.low > claim.low || !covers(other.filter, claim.filter)) continue
      kept.delete(claim)
      break
    }
  }
  return [...kept]
}

/** Claims that may share messages, together. */
function groups(claims: readonly Claim[]): Claim[][] {
  let found: Claim[][] = []
  for (const claim of claims) {
    const touched = found.filter(group => group.some(({ filter }) => meet(filter, claim.filter)))
    const others = found.filter(group => !touched.includes(group))
    found = [...others, [...touched.flat(), claim]]
  }
  return found
}
