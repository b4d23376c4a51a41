import test from 'ava'
import fc from 'fast-check'
import { covers, meet } from '../../src/routing/filter-relation.ts'
import { FilterTree } from '../../src/routing/filter-tree.ts'

const numRuns = Number(process.env.RESTANTE_TEST_RUNS ?? 300)
const seed = Number(process.env.RESTANTE_TEST_SEED ?? Date.now() % 2 ** 31)

const level = fc.constantFrom('a', 'b', '', '$s')
const filterLevel = fc.oneof(level, fc.constant('+'))
const filterOf = fc
  .tuple(fc.array(filterLevel, { minLength: 1, maxLength: 3 }), fc.boolean())
  .map(([levels, isOpen]) => (isOpen ? [...levels, '#'] : levels).join('/'))
const filter = fc.oneof(filterOf, fc.constant('#')).filter(text => text !== '')

/** All topics of up to four levels of a small alphabet: more than the filters can tell apart. */
const TOPICS = topics(4).filter(topic => topic !== '')

function topics(most: number): string[] {
  if (most === 0) return []
  const shorter = topics(most - 1)
  const levels = ['a', 'b', '', '$s', 'z']
  return [...levels, ...shorter.flatMap(rest => levels.map(first => `${first}/${rest}`))]
}

function matched(text: string): Set<string> {
  const tree = new FilterTree<true>()
  tree.set(text, true)
  return new Set(TOPICS.filter(topic => tree.match(topic).length > 0))
}

test('a filter covers another one exactly when it matches all of its topics', t => {
  fc.assert(
    fc.property(filter, filter, (wide, narrow) => {
      const wideTopics = matched(wide)
      const isCovered = [...matched(narrow)].every(topic => wideTopics.has(topic))
      return covers(wide, narrow) === isCovered
    }),
    { numRuns, seed }
  )
  t.log(`seed ${seed}`)
  t.pass()
})

test('two filters meet exactly when there is a topic that both match', t => {
  fc.assert(
    fc.property(filter, filter, (one, other) => {
      const topicsOfOne = matched(one)
      return meet(one, other) === [...matched(other)].some(topic => topicsOfOne.has(topic))
    }),
    { numRuns, seed }
  )
  t.pass()
})
