import test from 'ava'
import fc from 'fast-check'
import { type Claim, countClaims, sequencesOf } from '../../src/delivery/backlog.ts'
import { atOnce } from '../../src/delivery/turns.ts'
import { FilterTree } from '../../src/routing/filter-tree.ts'
import { SequenceList } from '../../src/routing/sequence-list.ts'

const numRuns = Number(process.env.RESTANTE_TEST_RUNS ?? 200)
const seed = Number(process.env.RESTANTE_TEST_SEED ?? Date.now() % 2 ** 31)

const FILTERS = ['#', '+/#', '+/a', 'a/+', 'a/#', 'a/b', 'a', 'b/a', 'b/+', '$s/a', '+']
const TOPICS = ['a', 'b', 'a/a', 'a/b', 'b/a', 'b/b', 'a/b/c', '$s/a']

/** A session's filters with where each begins, what was published, what of it has expired, what was trimmed. */
const scene = fc.record({
  lows: fc.dictionary(fc.constantFrom(...FILTERS), fc.nat(60), { noNullPrototype: true }),
  topics: fc.array(fc.constantFrom(...TOPICS), { minLength: 1, maxLength: 60 }),
  expired: fc.array(fc.integer({ min: 1, max: 60 })),
  older: fc.nat(3_000)
})

test('a count over filters is that of the messages that some filter matches and that have not expired', t => {
  fc.assert(
    fc.property(scene, ({ lows, topics, expired, older }) => {
      const claims: Claim[] = Object.entries(lows).map(([filter, low]) => {
        const tree = new FilterTree<true>()
        tree.set(filter, true)
        const sequences = new SequenceList()
        // entries that everybody has had, so that the lists have several chunks
        for (let i = 0; i < older; i++) sequences.push(i - 10_000)
        for (const [i, topic] of topics.entries()) if (tree.match(topic).length > 0) sequences.push(i + 1)
        for (const sequence of expired) sequences.expire(sequence)
        sequences.trimThrough(0)
        return { filter, lane: 0, sequences, low }
      })
      const wanted = topics.flatMap((topic, i) => {
        const isOwed = Object.entries(lows).some(([filter, low]) => {
          const tree = new FilterTree<true>()
          tree.set(filter, true)
          return i + 1 > low && tree.match(topic).length > 0
        })
        return isOwed && !expired.includes(i + 1) ? [i + 1] : []
      })
      const merged = countClaims(claims.map(claim => ({ ...claim, isCounted: () => true })))
      return (
        atOnce(countClaims(claims)) === wanted.length &&
        atOnce(merged) === wanted.length &&
        String([...sequencesOf(claims)]) === String(wanted)
      )
    }),
    { numRuns, seed }
  )
  t.log(`seed ${seed}`)
  t.pass()
})

test('a list counts what has not expired, whatever was put in front or trimmed away', t => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ do: fc.constant('push' as const), count: fc.integer({ min: 1, max: 2_000 }) }),
      fc.record({ do: fc.constant('expire' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
      fc.record({ do: fc.constant('trim' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
      fc.record({ do: fc.constant('prepend' as const), count: fc.integer({ min: 1, max: 50 }) })
    ),
    { maxLength: 12 }
  )
  fc.assert(
    fc.property(steps, fc.double({ min: 0, max: 1, noNaN: true }), (all, from) => {
      const list = new SequenceList()
      let model: { sequence: number; isExpired: boolean }[] = []
      let next = 1_000_000
      let first = next
      for (const one of all) {
        if (one.do === 'push') {
          for (let i = 0; i < one.count; i++, next += 2) {
            list.push(next)
            model.push({ sequence: next, isExpired: false })
          }
        } else if (one.do === 'expire') {
          const entry = model[Math.floor(one.share * model.length)]
          if (!entry) continue
          entry.isExpired = true
          list.expire(entry.sequence)
          list.expire(entry.sequence + 1) // not in the list
        } else if (one.do === 'trim') {
          const through = model[Math.floor(one.share * model.length)]?.sequence ?? 0
          list.trimThrough(through)
          model = model.slice(model.length - list.size)
        } else {
          const older = Array.from({ length: one.count }, (_, i) => first - 2 * (one.count - i))
          first -= 2 * one.count
          list.prepend(older)
          model = [...older.map(sequence => ({ sequence, isExpired: false })), ...model]
        }
      }
      const low = model[Math.floor(from * model.length)]?.sequence ?? 0
      const left = model.filter(({ sequence, isExpired }) => sequence > low && !isExpired)
      return list.countAfter(low) === left.length && list.firstAfter(low) === left[0]?.sequence
    }),
    { numRuns, seed }
  )
  t.log(`seed ${seed}`)
  t.pass()
})
