/** A place in a tree of topic levels. */
export interface LevelNode<Value> {
  /** Children by level; a Map, so that levels named like properties of Object are plain names. */
  readonly children: Map<string, LevelNode<Value>>
  value: Value | undefined
}

/** A node without children and value. */
export function newNode<Value>(): LevelNode<Value> {
  return { children: new Map(), value: undefined }
}

/** Puts a value to a name; returns the one that was there. */
export function putValue<Value>(root: LevelNode<Value>, name: string, value: Value): Value | undefined {
  let node = root
  for (const level of name.split('/')) {
    let child = node.children.get(level)
    if (!child) {
      child = newNode()
      node.children.set(level, child)
    }
    node = child
  }
  const before = node.value
  node.value = value
  return before
}

/** Takes the value of a name out, and the nodes that nothing needs any more; false when there was none. */
export function removeValue<Value>(root: LevelNode<Value>, name: string): boolean {
  const path = [root]
  const levels = name.split('/')
  for (const level of levels) {
    const child = path[path.length - 1]!.children.get(level)
    if (!child) return false
    path.push(child)
  }
  const last = path[path.length - 1]!
  if (last.value === undefined) return false
  last.value = undefined
  for (let depth = levels.length; depth > 0 && isEmpty(path[depth]!); depth--) {
    path[depth - 1]!.children.delete(levels[depth - 1]!)
  }
  return true
}

function isEmpty<Value>(node: LevelNode<Value>): boolean {
  return node.value === undefined && node.children.size === 0
}
