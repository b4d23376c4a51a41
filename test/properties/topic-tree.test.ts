import test from 'ava'
import fc from 'fast-check'
import { TopicTree } from '../../src/routing/topic-tree.ts'
import { filterProblem, topicProblem } from '../../src/topic.ts'

const numRuns = Number(process.env.RESTANTE_TEST_RUNS ?? 400)
const seed = Number(process.env.RESTANTE_TEST_SEED ?? Date.now() % 2 ** 31)

// few levels, so that names share their beginnings; empty ones, ones with $, properties of Object
const level = fc.constantFrom('a', 'b', '', '$SYS', '$', 'constructor', '__proto__', 'hasOwnProperty', 'ü')
const topic = fc
  .array(level, { minLength: 1, maxLength: 4 })
  .map(levels => levels.join('/'))
  .filter(name => topicProblem(name) === null)
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }), fc.boolean())
  .map(([levels, isOpen]) => [...levels, ...(isOpen ? ['#'] : [])].join('/'))
  .filter(name => filterProblem(name) === null)

type Change =
  | { readonly do: 'set' | 'delete'; readonly topic: string }
  | { readonly do: 'search'; readonly steps: number }
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ do: fc.constantFrom('set' as const, 'set' as const, 'delete' as const), topic }),
  fc.record({ do: fc.constant('search' as const), steps: fc.integer({ min: 1, max: 4 }) })
)

/** The rules of MQTT section 4.7, as a regular expression. */
function matches(pattern: string, name: string): boolean {
  if (name.startsWith('$') && /^[+#]/.test(pattern)) return false
  const quoted = pattern
    .split('/')
    .map(one => (one === '+' ? '[^/]*' : one === '#' ? '.*' : one.replace(/[$]/g, '\\$&')))
  const isOpen = quoted.at(-1) === '.*'
  if (!isOpen) return new RegExp(`^${quoted.join('/')}$`).test(name)
  const stem = quoted.slice(0, -1).join('/')
  return quoted.length === 1 || new RegExp(`^${stem}(/.*)?$`, 's').test(name)
}

const sorted = (names: Iterable<string>) => [...names].sort().join('\n')
const all = (tree: TopicTree<string>, pattern: string) =>
  [...tree.match(pattern)].filter(found => found !== null)

test('the topic tree finds the topics that a filter matches by the rules, also after others were taken out', t => {
  t.log(`RESTANTE_TEST_SEED=${seed}`)
  const property = fc.property(
    fc.array(topic, { maxLength: 25 }),
    fc.array(topic, { maxLength: 10 }),
    filter,
    (topics, gone, pattern) => {
      const tree = new TopicTree<string>()
      const left = new Set<string>()
      for (const name of topics) {
        tree.set(name, name)
        left.add(name)
      }
      for (const name of [...gone, ...topics.slice(0, 5)]) {
        if (tree.delete(name) !== left.delete(name)) throw new Error(`delete of ${name} gave a wrong answer`)
      }
      const expected = sorted([...left].filter(name => matches(pattern, name)))
      const found = sorted(all(tree, pattern))
      if (found !== expected) throw new Error(`${pattern}: found\n${found}\nexpected\n${expected}`)
      if (tree.size !== left.size) throw new Error(`the size is ${tree.size}, not ${left.size}`)
      for (const name of [...topics, ...gone]) {
        if (tree.get(name) !== (left.has(name) ? name : undefined)) throw new Error(`get of ${name}`)
      }
    }
  )
  t.notThrows(() => fc.assert(property, { numRuns, seed }))
})

test('a search goes on while the tree changes: what stays is found once, and nothing that never matched', t => {
  const property = fc.property(
    fc.uniqueArray(topic, { maxLength: 25 }),
    fc.array(change, { maxLength: 40 }),
    filter,
    (topics, changes, pattern) => {
      const tree = new TopicTree<string>()
      for (const name of topics) tree.set(name, name)
      const touched = new Set<string>()
      const found: string[] = []
      const search = tree.match(pattern)
      for (const one of changes) {
        if (one.do === 'search') {
          for (let i = 0; i < one.steps; i++) {
            const { value } = search.next()
            if (value) found.push(value)
          }
          continue
        }
        if (one.do === 'delete') tree.delete(one.topic)
        else tree.set(one.topic, one.topic)
        touched.add(one.topic)
      }
      for (const name of search) if (name !== null) found.push(name)
      const stayed = topics.filter(name => !touched.has(name) && matches(pattern, name))
      const expected = sorted(stayed)
      if (sorted(found.filter(name => !touched.has(name))) !== expected)
        throw new Error(`${pattern}: of what stayed found\n${sorted(found)}\nexpected\n${expected}`)
      const wrong = found.filter(name => !matches(pattern, name))
      if (wrong.length > 0) throw new Error(`${pattern} found ${wrong}`)
    }
  )
  t.notThrows(() => fc.assert(property, { numRuns, seed }))
})

test('a search that finds nothing for long gives others their turn', t => {
  const tree = new TopicTree<number>()
  for (let i = 0; i < 5_000; i++) tree.set(`a/${i}/b`, i)
  const answers = [...tree.match('a/+/c')]
  t.true(answers.length >= 10, `${answers.length} pauses`)
  t.true(answers.every(answer => answer === null))
  t.is([...tree.match('a/4999/+')].filter(answer => answer !== null).length, 1)
})
