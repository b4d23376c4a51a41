import { type LevelNode, newNode, putValue, removeValue } from './level-tree.ts'

/**
 * Topic filters and what belongs to them. Matching walks the tree level by level with the set of nodes reached so
 * far: no recursion, and never more work than the tree has nodes, whatever the filters. @see MQTT section 4.7
 */
export class FilterTree<Value> {
  readonly #root: LevelNode<Value> = newNode()
  #size = 0

  /** Number of filters. */
  get size(): number {
    return this.#size
  }

  /** Puts a value to a legal filter; replaces the one that was there. */
  set(filter: string, value: Value): void {
    if (putValue(this.#root, filter, value) === undefined) this.#size++
  }

  /** Takes a filter out; false when it was not there. */
  delete(filter: string): boolean {
    const wasThere = removeValue(this.#root, filter)
    if (wasThere) this.#size--
    return wasThere
  }

  /** The values of all filters that match a legal topic name. */
  match(topic: string): Value[] {
    const found: Value[] = []
    const levels = topic.split('/')
    let reached = [this.#root]
    for (const [depth, level] of levels.entries()) {
      // [MQTT-4.7.2-1] a wildcard in the first level does not match a topic that starts with $
      const mayBeWild = depth > 0 || !level.startsWith('$')
      const next: LevelNode<Value>[] = []
      for (const node of reached) {
        if (mayBeWild) collect(node.children.get('#'), found)
        const exact = node.children.get(level)
        if (exact) next.push(exact)
        const single = mayBeWild ? node.children.get('+') : undefined
        if (single) next.push(single)
      }
      reached = next
      if (reached.length === 0) return found
    }
    for (const node of reached) {
      collect(node, found)
      collect(node.children.get('#'), found) // `a/#` matches `a` [MQTT-4.7.1-2]
    }
    return found
  }
}

function collect<Value>(node: LevelNode<Value> | undefined, into: Value[]): void {
  if (node?.value !== undefined) into.push(node.value)
}
