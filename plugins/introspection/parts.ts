import { setImmediate } from 'node:timers/promises'
import type { MessagePart } from '../../src/plugin.ts'

/** So many parts are read before an answer is given, even an empty one. */
const MAX_PARTS = 32

/** How parts are read on, and what of them is wanted. */
export interface PartsSource<Item> {
  read(after: string | null, limit: number): Promise<MessagePart<Item>>
  readonly after: string | null
  readonly limit: number
  /** Default: every item. */
  isWanted?(item: Item): boolean
  /** Whether nothing that is wanted can come behind this item. */
  isBeyond?(item: Item): boolean
}

/**
 * Reads parts until there is something to show, or for long enough; the event loop is let go after each.
 * @returns few items, or none, although there are more: `next` is null only at the end.
 */
export async function readParts<Item>(source: PartsSource<Item>): Promise<MessagePart<Item>> {
  const items: Item[] = []
  let { after } = source
  for (let part = 0; part < MAX_PARTS && items.length < source.limit; part++) {
    if (part > 0) await setImmediate()
    const found = await source.read(after, source.limit - items.length)
    for (const item of found.items) {
      if (source.isBeyond?.(item)) return { items, next: null }
      if (source.isWanted?.(item) ?? true) items.push(item)
    }
    after = found.next
    if (after === null) break
  }
  return { items, next: after }
}
