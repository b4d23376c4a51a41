import type { LastStop } from '../../src/plugin.ts'
import type { CheckpointRow } from './notes.ts'
import type { StateRows } from './state-rows.ts'

/** The row that a run of the store leaves for the next one. */
export interface RunRow {
  /** Whether it ended with close(). */
  readonly isClean: boolean
  readonly bootId: string
  readonly fsync: 'always' | 'interval' | 'off'
  /** All sequences below it were used, or never will be, when the row was written. */
  readonly nextSequence: number
  /** Until a checkpoint begins a later generation, the next open has to act as after a power cut; -1: it need not. */
  readonly unsettledGeneration: number
}

/** What the rows of the store itself say about the runs before. */
export interface History {
  readonly lane: string | null
  readonly lastRun: RunRow | null
  readonly checkpoint: CheckpointRow
  /** The last reserved sequence. @see Reservation */
  readonly reservedThrough: number
}

/** Reads the rows of the store itself. */
export function historyOf({ own }: StateRows): History {
  return {
    lane: (own.get('lane') as string | undefined) ?? null,
    lastRun: (own.get('run') as RunRow | undefined) ?? null,
    checkpoint: (own.get('checkpoint') as CheckpointRow | undefined) ?? { generation: 0, number: 1 },
    reservedThrough: (own.get('reserved') as number | undefined) ?? 0
  }
}

/** How the last run ended, as far as its row tells. */
export function judgeStop({ lastRun, checkpoint }: History, bootId: string): LastStop {
  if (!lastRun) return 'new'
  if (lastRun.unsettledGeneration >= checkpoint.generation) return 'machine'
  if (lastRun.isClean) return 'clean'
  return lastRun.bootId === bootId ? 'process' : 'machine'
}

/** Whether what had been written and not synced by the last run may be gone. */
export function mayHaveHoles({ lastRun }: History, lastStop: LastStop): boolean {
  return lastStop === 'machine' && lastRun !== null && lastRun.fsync !== 'always'
}

/**
 * The sequence to go on with. With fsync always nothing was shown to anybody before it was on stable storage, so it
 * goes on behind what was found; after a power cut with a weaker mode, behind what was reserved.
 */
export function continueAt(history: History, lastStop: LastStop, foundNext: number): number {
  const reserved = mayHaveHoles(history, lastStop) ? history.reservedThrough + 1 : 1
  return Math.max(foundNext, history.lastRun?.nextSequence ?? 1, reserved)
}
