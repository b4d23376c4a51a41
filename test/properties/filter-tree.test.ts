import test from 'ava'
import fc from 'fast-check'
import { FilterTree } from '../../src/routing/filter-tree.ts'
import { SequenceList } from '../../src/routing/sequence-list.ts'
import { filterProblem, filterReachesQueue, splitTopic, topicProblem } from '../../src/topic.ts'

const numRuns = Number(process.env.RESTANTE_TEST_RUNS ?? 300)
const seed = Number(process.env.RESTANTE_TEST_SEED ?? Date.now() % 2 ** 31)

const level = fc.constantFrom('a', 'b', '', '$SYS', 'constructor', '__proto__', 'ü')
const topic = fc
  .array(level, { minLength: 1, maxLength: 5 })
  .map(levels => levels.join('/'))
  .filter(name => topicProblem(name) === null)
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 0, maxLength: 5 }), fc.boolean())
  .map(([levels, isOpen]) => [...levels, ...(isOpen ? ['#'] : [])].join('/'))
  .filter(name => filterProblem(name) === null)

/** The rules of MQTT section 4.7, one level after the other. */
function matchesNaively(pattern: string, name: string): boolean {
  const wanted = pattern.split('/')
  const given = name.split('/')
  if (name.startsWith('$') && (wanted[0] === '+' || wanted[0] === '#')) return false
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === '#') return true
    if (i >= given.length) return false
    if (wanted[i] !== '+' && wanted[i] !== given[i]) return false
  }
  if (wanted.length === given.length) return true
  return false
}

function matches(pattern: string, name: string): boolean {
  // `a/#` matches its parent `a` too
  return (
    matchesNaively(pattern, name) || (pattern.endsWith('/#') && matchesNaively(pattern.slice(0, -2), name))
  )
}

test('the filter tree finds the filters that match by the rules, also after others were taken out', t => {
  t.log(`RESTANTE_TEST_SEED=${seed}`)
  const property = fc.property(
    fc.uniqueArray(filter, { maxLength: 20 }),
    fc.array(fc.nat(30), { maxLength: 15 }),
    topic,
    (filters, gone, name) => {
      const tree = new FilterTree<string>()
      for (const one of filters) tree.set(one, one)
      const left = new Set(filters)
      for (const index of gone) {
        const one = filters[index]
        if (one !== undefined) {
          if (tree.delete(one) !== left.delete(one)) throw new Error(`delete of ${one} gave the wrong answer`)
        }
      }
      const expected = [...left].filter(one => matches(one, name)).sort()
      const found = tree.match(name).sort()
      if (found.join('\n') !== expected.join('\n'))
        throw new Error(`${name}: found ${found}, expected ${expected}`)
      if (tree.size !== left.size) throw new Error('the size is wrong')
    }
  )
  t.notThrows(() => fc.assert(property, { numRuns, seed }))
})

test('a filter of many wildcards is matched in time that does not explode with the levels', t => {
  const tree = new FilterTree<string>()
  for (let mask = 0; mask < 2 ** 10; mask++) {
    const name = Array.from({ length: 10 }, (_, bit) => (mask & (1 << bit) ? '+' : 'a')).join('/')
    tree.set(name, name)
  }
  t.is(tree.match(Array(10).fill('a').join('/')).length, 1024)
  t.is(tree.match(Array(60_000).fill('a').join('/')).length, 0)
})

test('a session is attached to a queue exactly when some topic of the queue matches its filter', t => {
  const property = fc.property(filter, topic, (pattern, name) => {
    if (matches(pattern, name) && !filterReachesQueue(pattern, splitTopic(name).queue)) {
      throw new Error(`${pattern} matches ${name} and does not reach its queue`)
    }
  })
  t.notThrows(() => fc.assert(property, { numRuns, seed }))
})

test('a sequence list of which everything was trimmed away knows its newest sequence', t => {
  const list = new SequenceList()
  for (let sequence = 1; sequence <= 1_024; sequence++) list.push(sequence)
  list.trimThrough(1_024)
  t.deepEqual([list.size, list.last, list.at(1_023)], [0, 1_024, undefined])
})

test('a sequence list answers like an array, with its indexes kept over trimming', t => {
  const property = fc.property(
    fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 5_000, size: 'max' }),
    fc.array(fc.nat(10_000), { maxLength: 20 }),
    (steps, probes) => {
      const list = new SequenceList()
      const plain: number[] = []
      let sequence = 0
      for (const step of steps) {
        sequence += step
        list.push(sequence)
        plain.push(sequence)
      }
      const trimmed = probes[0] ?? 0
      list.trimThrough(trimmed)
      for (const probe of probes) {
        if (probe < trimmed) continue
        const expected = plain.filter(one => one <= probe).length
        if (list.indexAfter(probe) !== expected) throw new Error(`index after ${probe}`)
        if (list.at(expected) !== plain[expected]) throw new Error(`entry behind ${probe}`)
        if (probe > trimmed && list.has(probe) !== plain.includes(probe)) throw new Error(`has ${probe}`)
      }
      if (list.length !== plain.length || list.last !== (plain.at(-1) ?? 0)) throw new Error('length or last')
    }
  )
  t.notThrows(() => fc.assert(property, { numRuns: Math.min(numRuns, 200), seed }))
})
