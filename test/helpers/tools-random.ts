import type { ExecutionContext } from 'ava'

/** A seeded source of random numbers: the same seed gives the same test. */
export interface Random {
  readonly seed: number
  /** From 0 up to, but not including, 1. */
  fraction(): number
  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number
  /** Whether something that happens this often happens now. */
  chance(probability: number): boolean
}

/** A source with this seed (mulberry32). */
export function randomOf(seed: number): Random {
  let state = seed | 0
  const fraction = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  return {
    seed,
    fraction,
    below: limit => Math.floor(fraction() * limit),
    chance: probability => fraction() < probability
  }
}

/** The source of one test: its seed comes from RESTANTE_TEST_SEED, else from the time, and is logged. */
export function testRandom(t: ExecutionContext): Random {
  const seed = Number(process.env.RESTANTE_TEST_SEED ?? Date.now() % 1_000_000_007)
  t.log(`RESTANTE_TEST_SEED=${seed}`)
  return randomOf(seed)
}

/** Runs of a property test: RESTANTE_TEST_RUNS, else the number for the quick suite. */
export function testRuns(quick: number): number {
  return Number(process.env.RESTANTE_TEST_RUNS ?? quick)
}

/** Kills or cuts of a crash test: RESTANTE_TEST_KILLS, else RESTANTE_TEST_RUNS, else the number for the quick suite. */
export function testKills(quick: number): number {
  return Number(process.env.RESTANTE_TEST_KILLS ?? process.env.RESTANTE_TEST_RUNS ?? quick)
}
