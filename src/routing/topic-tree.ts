import { type LevelNode, newNode, putValue, removeValue } from './level-tree.ts'

/** Nodes still to be visited below one node, and how many levels of the filter are behind them. */
interface Frame<Value> {
  readonly nodes: Iterator<readonly [string, LevelNode<Value>]>
  readonly depth: number
  readonly isRoot: boolean
}

/** So many nodes are visited without a match before the search lets others have their turn. */
const PAUSE_NODES = 256

/** Topic names and what belongs to them: the counterpart of FilterTree. @see MQTT section 4.7 */
export class TopicTree<Value> {
  readonly #root: LevelNode<Value> = newNode()
  #size = 0

  /** Number of topics. */
  get size(): number {
    return this.#size
  }

  get(topic: string): Value | undefined {
    let node: LevelNode<Value> | undefined = this.#root
    for (const level of topic.split('/')) {
      node = node.children.get(level)
      if (!node) return undefined
    }
    return node.value
  }

  /** Puts a value to a topic name; replaces the one that was there. */
  set(topic: string, value: Value): void {
    if (putValue(this.#root, topic, value) === undefined) this.#size++
  }

  /** Takes a topic out; false when it was not there. */
  delete(topic: string): boolean {
    const wasThere = removeValue(this.#root, topic)
    if (wasThere) this.#size--
    return wasThere
  }

  /**
   * The values of all topics that a legal filter matches, found one by one as they are asked for. The tree may change
   * meanwhile: what is put in or taken out during the search may be found or not. A null says that nothing was found
   * for a while and the search is not over.
   */
  *match(filter: string): Generator<Value | null, void> {
    const levels = filter.split('/')
    const frames: Frame<Value>[] = []
    let visited = 0
    let found = visit(this.#root, levels, 0, frames)
    for (;;) {
      if (found !== undefined) yield found
      else if (++visited % PAUSE_NODES === 0) yield null
      const frame = frames[frames.length - 1]
      if (!frame) return
      const next = frame.nodes.next()
      found = undefined
      if (next.done) frames.pop()
      // [MQTT-4.7.2-1] a wildcard in the first level does not match a topic that starts with $
      else if (!frame.isRoot || !next.value[0].startsWith('$')) {
        found = visit(next.value[1], levels, frame.depth, frames)
      }
    }
  }
}

/** Goes down from a node as far as one way leads; frames are left where there are several. */
function visit<Value>(
  from: LevelNode<Value>,
  levels: readonly string[],
  fromDepth: number,
  frames: Frame<Value>[]
): Value | undefined {
  let node = from
  let depth = fromDepth
  for (;;) {
    const level = levels[depth]
    if (level === undefined) return node.value
    const isRoot = depth === 0 && frames.length === 0
    if (level === '#') {
      frames.push({ nodes: node.children.entries(), depth, isRoot })
      return node.value // `a/#` matches `a` [MQTT-4.7.1-2]
    }
    if (level === '+') {
      frames.push({ nodes: node.children.entries(), depth: depth + 1, isRoot })
      return undefined
    }
    const child = node.children.get(level)
    if (!child) return undefined
    node = child
    depth++
  }
}
