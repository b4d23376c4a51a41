import { type Clock, errorText, type Owed, type ReleaseReport } from '../../src/plugin.ts'
import { reportDamage } from './damage.ts'
import { removeIfThere } from './files.ts'
import { SegmentWriter, UnreadableRecord } from './rewrite.ts'
import { scanSegment } from './scan.ts'
import { Segment, type SegmentList } from './segment.ts'
import { type JournalFolder, readIndex, removeSegment, writeIndex } from './segment-files.ts'
import { createSalt } from './segment-format.ts'
import type { SegmentIndex } from './segment-index.ts'
import { findWitness, owedBytes, owedPlaces } from './weigh.ts'

/** Files below this part of a full segment are put together when there are several. */
const SMALL_PART = 4
/** Small files that follow each other before they are put together. */
const SMALL_COUNT = 4

/** What the compactor works with. */
export interface CompactorOptions extends JournalFolder {
  readonly clock: Clock
  readonly lane: string
  readonly segments: SegmentList
  readonly segmentBytes: number
  /** A full segment of which less than this is owed is rewritten. */
  readonly compactBelowPercent: number
}

interface Weighed {
  readonly segment: Segment
  readonly owedBytes: number
}

/**
 * Gives the space of messages that nobody waits for back. A segment with nothing owed is removed; one with little is
 * rewritten, together with others like it beside it. A damaged one stays: nobody knows what is owed of it. One index
 * at a time is in memory.
 */
export class Compactor {
  readonly #options: CompactorOptions
  #freedBytes = 0
  #isStopped = false

  constructor(options: CompactorOptions) {
    this.#options = options
  }

  /** Ends a release after the segment it is at. */
  stop(): void {
    this.#isStopped = true
  }

  /** @param sealed segments that do not grow, in order. @see LaneStore.release */
  async release(sealed: readonly Segment[], owed: Owed): Promise<ReleaseReport> {
    this.#freedBytes = 0
    try {
      await this.#walk(sealed, owed)
    } catch (error) {
      // nothing is lost: what was to be moved is still where it was
      if (error instanceof UnreadableRecord) this.#report(error)
      else this.#options.log.warn({ error: errorText(error) }, 'space in the journal could not be freed')
    }
    return { freedBytes: this.#freedBytes, keptBytes: this.#options.segments.sizeBytes() }
  }

  async #walk(sealed: readonly Segment[], owed: Owed): Promise<void> {
    let group: Weighed[] = []
    let groupBytes = 0
    for (const segment of sealed) {
      if (this.#isStopped) return
      const bytes = await this.#weigh(segment, owed)
      if (bytes === 0 && !segment.isDamaged) {
        await this.#drop(segment)
        continue
      }
      const isMovable = !segment.isDamaged && (this.#isSparse(segment, bytes) || this.#isSmall(segment))
      if (!isMovable || groupBytes + bytes > this.#options.segmentBytes) {
        await this.#rewriteIfWorth(group, owed)
        group = []
        groupBytes = 0
      }
      if (!isMovable) continue
      group.push({ segment, owedBytes: bytes })
      groupBytes += bytes
    }
    await this.#rewriteIfWorth(group, owed)
  }

  /** Bytes of it that are owed; Infinity when it is known without a look that they are too many. */
  async #weigh(segment: Segment, owed: Owed): Promise<number> {
    const { witness } = segment
    if (witness && owed.above(witness.streamId) < witness.sequence) return Number.POSITIVE_INFINITY
    const index = await this.#index(segment)
    const bytes = owedBytes(index, owedPlaces(index, owed))
    if (!this.#isSparse(segment, bytes) && !this.#isSmall(segment))
      segment.witness = findWitness(index, owed, this.#sparseBytes(segment))
    return bytes
  }

  #sparseBytes(segment: Segment): number {
    // rewriting must free at least half of the file, or it would be done again and again
    return (segment.end * Math.min(this.#options.compactBelowPercent, 50)) / 100
  }

  #isSparse(segment: Segment, bytes: number): boolean {
    return bytes < this.#sparseBytes(segment)
  }

  #isSmall(segment: Segment): boolean {
    return segment.end < this.#options.segmentBytes / SMALL_PART
  }

  async #index(segment: Segment): Promise<SegmentIndex> {
    const index = await readIndex(this.#options, segment)
    if (index) return index
    const file = await this.#options.files.open(segment.path, 'read')
    try {
      const scan = await scanSegment(file, segment.header, false)
      for (const damage of scan.damages) {
        const to = Math.min(damage.to, segment.lastSequence)
        reportDamage(this.#options.log, segment, { ...damage, to })
      }
      await writeIndex(this.#options, segment, scan.index)
      return scan.index
    } finally {
      await file.close()
    }
  }

  async #drop(segment: Segment): Promise<void> {
    this.#options.segments.replace([segment], null)
    await removeSegment(this.#options, segment.path)
    this.#freedBytes += segment.end
  }

  async #rewriteIfWorth(group: readonly Weighed[], owed: Owed): Promise<void> {
    if (group.length === 0) return
    const owedSum = sum(group, weighed => weighed.owedBytes)
    const fileSum = sum(group, weighed => weighed.segment.end)
    const largest = Math.max(...group.map(weighed => weighed.owedBytes))
    const freesHalf = owedSum <= fileSum / 2
    // so that a large one is not copied for crumbs beside it, again and again
    const isManySmall = group.length >= SMALL_COUNT && largest <= owedSum / 2
    if (!freesHalf && !isManySmall) return
    await this.#rewrite(
      group.map(weighed => weighed.segment),
      owed
    )
  }

  /** The new segment is on stable storage, under its name, before an old one goes. */
  async #rewrite(old: readonly Segment[], owed: Owed): Promise<void> {
    const { files, directory, segments } = this.#options
    const segment = new Segment(directory, {
      lane: this.#options.lane,
      salt: createSalt(),
      rewrites: 1 + Math.max(...old.map(({ header }) => header.rewrites)),
      firstSequence: old[0]!.firstSequence,
      throughSequence: old.at(-1)!.lastSequence,
      createdAt: this.#options.clock.now()
    })
    const index = await this.#copy(segment, old, owed)
    try {
      await files.rename(`${segment.path}.tmp`, segment.path)
      await files.syncDirectory(directory)
    } catch (error) {
      await removeIfThere(files, segment.path).catch(() => {})
      throw error
    }
    await writeIndex(this.#options, segment, index)
    segment.addIndex(index)
    segments.replace(old, segment)
    this.#freedBytes -= segment.end
    for (const each of old) {
      await removeSegment(this.#options, each.path)
      this.#freedBytes += each.end
    }
  }

  async #copy(segment: Segment, old: readonly Segment[], owed: Owed): Promise<SegmentIndex> {
    const { files } = this.#options
    const temporary = `${segment.path}.tmp`
    const file = await files.open(temporary, 'replace')
    const writer = new SegmentWriter(file, segment.header)
    try {
      for (const each of old) await this.#copyOne(writer, each, owed)
      await writer.finish()
    } catch (error) {
      await file.close().catch(() => {})
      await removeIfThere(files, temporary).catch(() => {})
      throw error
    }
    await file.close()
    return writer.index
  }

  async #copyOne(writer: SegmentWriter, segment: Segment, owed: Owed): Promise<void> {
    const index = await this.#index(segment)
    const source = await this.#options.files.open(segment.path, 'read')
    try {
      await writer.copy(segment, source, index, owedPlaces(index, owed))
    } finally {
      await source.close()
    }
  }

  #report({ segment, offset, sequence }: UnreadableRecord): void {
    reportDamage(this.#options.log, segment, { offset, stop: segment.end, from: sequence, to: sequence })
  }
}

function sum(group: readonly Weighed[], bytes: (weighed: Weighed) => number): number {
  return group.reduce((total, weighed) => total + bytes(weighed), 0)
}
