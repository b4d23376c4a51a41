interface Node<Value> {
  /** Children by level; a Map, so that levels named like properties of Object are plain names. */
  readonly children: Map<string, Node<Value>>
  value: Value | undefined
}

/**
 * Topic filters and what belongs to them. Matching walks the tree level by level with the set of nodes reached so
 * far: no recursion, and never more work than the tree has nodes, whatever the filters. @see MQTT section 4.7
 */
export class FilterTree<Value> {
  readonly #root: Node<Value> = newNode()
  #size = 0

  /** Number of filters. */
  get size(): number {
    return this.#size
  }

  /** Puts a value to a legal filter; replaces the one that was there. */
  set(filter: string, value: Value): void {
    let node = this.#root
    for (const level of filter.split('/')) {
      let child = node.children.get(level)
      if (!child) {
        child = newNode()
        node.children.set(level, child)
      }
      node = child
    }
    if (node.value === undefined) this.#size++
    node.value = value
  }

  /** Takes a filter out; false when it was not there. */
  delete(filter: string): boolean {
    const path = [this.#root]
    const levels = filter.split('/')
    for (const level of levels) {
      const child = path[path.length - 1]!.children.get(level)
      if (!child) return false
      path.push(child)
    }
    const last = path[path.length - 1]!
    if (last.value === undefined) return false
    last.value = undefined
    this.#size--
    for (let depth = levels.length; depth > 0 && isEmpty(path[depth]!); depth--) {
      path[depth - 1]!.children.delete(levels[depth - 1]!)
    }
    return true
  }

  /** The values of all filters that match a legal topic name. */
  match(topic: string): Value[] {
    const found: Value[] = []
    const levels = topic.split('/')
    let reached = [this.#root]
    for (const [depth, level] of levels.entries()) {
      // [MQTT-4.7.2-1] a wildcard in the first level does not match a topic that starts with $
      const mayBeWild = depth > 0 || !level.startsWith('$')
      const next: Node<Value>[] = []
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

function newNode<Value>(): Node<Value> {
  return { children: new Map(), value: undefined }
}

function isEmpty<Value>(node: Node<Value>): boolean {
  return node.value === undefined && node.children.size === 0
}

function collect<Value>(node: Node<Value> | undefined, into: Value[]): void {
  if (node?.value !== undefined) into.push(node.value)
}
