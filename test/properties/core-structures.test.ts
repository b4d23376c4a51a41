import test from 'ava'
import fc from 'fast-check'
import { Merge } from '../../src/delivery/merge.ts'
import { BlockCache } from '../../src/journal/block-cache.ts'
import { Tail } from '../../src/journal/tail.ts'
import { SequenceList } from '../../src/routing/sequence-list.ts'
import { Message } from '../../src/wire/message.ts'
import { topicField } from '../../src/wire/publish.ts'
import { testRandom, testRuns } from '../helpers/tools-random.ts'

const CHUNK = 1024

function messageOf(sequence: number, bytes = 10): Message {
  const message = Message.from({ topicField: topicField('a'), payload: Buffer.alloc(bytes), qos: 1 })
  message.sequence = sequence
  return message
}

test('a list of sequences answers as a plain list does, whatever is added and trimmed', t => {
  const { seed } = testRandom(t)
  const step = fc.oneof(
    fc.record({ add: fc.integer({ min: 1, max: 3 * CHUNK }), gap: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ trim: fc.integer({ min: 0, max: 120 }) })
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), steps => {
      const list = new SequenceList()
      const all: number[] = []
      let trimmed = 0
      for (const each of steps) {
        if ('add' in each) {
          for (let i = 0; i < each.add; i++) {
            all.push((all.at(-1) ?? 0) + each.gap)
            list.push(all.at(-1)!)
          }
        } else {
          const sequence = Math.floor(((all.at(-1) ?? 0) * each.trim) / 100)
          list.trimThrough(sequence)
          trimmed = Math.max(trimmed, all.filter(other => other <= sequence).length)
        }
        const first = list.length - list.size
        if (list.length !== all.length) throw new Error('the length is wrong')
        if (first > trimmed || trimmed - first >= CHUNK)
          throw new Error(`${first} entries gone of ${trimmed}`)
        for (const index of [first - 1, first, first + 1, trimmed, all.length - 1, all.length]) {
          const expected = index >= first ? all[index] : undefined
          if (list.at(index) !== expected)
            throw new Error(`at ${index} is ${list.at(index)}, not ${expected}`)
          const sequence = all[index] ?? 0
          if (index < first) continue
          const after = all.findIndex(other => other > sequence)
          const found = list.indexAfter(sequence)
          if (found !== (after < 0 ? all.length : Math.max(after, first)))
            throw new Error(`after ${sequence}`)
        }
      }
    }),
    { seed, numRuns: testRuns(60) }
  )
  t.pass()
})

test('a merge has the lowest place on top, whatever is put in, moved on and taken out', t => {
  const { seed } = testRandom(t)
  const step = fc.record({
    what: fc.constantFrom(
      'push' as const,
      'push' as const,
      'sink' as const,
      'pop' as const,
      'remove' as const
    ),
    number: fc.nat(1_000)
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), steps => {
      const merge = new Merge<{ next: number }>()
      const places: { next: number }[] = []
      for (const { what, number } of steps) {
        const { top } = merge
        if (what === 'push') {
          const place = { next: number }
          places.push(place)
          merge.push(place)
        } else if (what === 'remove') {
          const place = places.splice(number % (places.length || 1), 1)[0] ?? { next: 0 }
          merge.remove(place)
        } else if (top && what === 'sink') {
          top.next += number
          merge.sink()
        } else if (what === 'pop') {
          if (top) places.splice(places.indexOf(top), 1)
          merge.pop()
        }
        const lowest = places.reduce((low, { next }) => Math.min(low, next), Number.POSITIVE_INFINITY)
        if ((merge.top?.next ?? Number.POSITIVE_INFINITY) !== lowest)
          throw new Error(`${lowest} is not on top`)
      }
      for (let last = -1; merge.top; merge.pop()) {
        if (merge.top.next < last) throw new Error('the order is wrong')
        last = merge.top.next
        places.pop()
      }
      if (places.length > 0) throw new Error('a place is missing')
    }),
    { seed, numRuns: testRuns(300) }
  )
  t.pass()
})

test('the tail has the newest messages, each under its sequence, and no more bytes than it may', t => {
  const { seed } = testRandom(t)
  const steps = fc.array(
    fc.record({ count: fc.integer({ min: 1, max: 6_000 }), skip: fc.constantFrom(0, 0, 0, 1, 50) }),
    { maxLength: 6 }
  )
  const message = messageOf(0)
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 3_000 }), (given, kept) => {
      const tail = new Tail(kept * message.length)
      let sequence = 0
      let run = 0
      for (const { count, skip } of given) {
        sequence += skip
        if (skip > 0) run = 0
        for (let i = 0; i < count; i++)
          tail.push(Object.assign(Object.create(message), { sequence: ++sequence }))
        run += count
        if (tail.bytes > kept * message.length) throw new Error('too many bytes')
        const oldest = sequence - Math.min(run, kept)
        for (const each of [sequence + 1, sequence, oldest + 1, oldest, oldest - 1, 0]) {
          const expected = each > oldest && each <= sequence ? each : undefined
          if (tail.get(each)?.sequence !== expected) throw new Error(`${each} is ${tail.get(each)?.sequence}`)
        }
      }
    }),
    { seed, numRuns: testRuns(40) }
  )
  t.pass()
})

test('cached blocks answer for what they hold and for nothing else', t => {
  const { seed } = testRandom(t)
  const block = fc.record({
    from: fc.integer({ min: 1, max: 60 }),
    length: fc.integer({ min: 1, max: 20 }),
    every: fc.integer({ min: 1, max: 4 }),
    bytes: fc.integer({ min: 0, max: 4_000 })
  })
  fc.assert(
    fc.property(fc.array(block, { maxLength: 25 }), blocks => {
      const cache = new BlockCache(12_000)
      for (const { from, length, every, bytes } of blocks) {
        const to = from + length - 1
        const messages: Message[] = []
        // what a sequence holds never changes: whether it is gone follows from its number
        for (let i = from; i <= to; i++)
          if (i % (every > 3 ? 3 : 1) === 0 && i % 7 > 0) messages.push(messageOf(i))
        cache.add({ from, to, messages, bytes })
        for (let i = 1; i <= 80; i++) {
          const found = cache.get(i)
          if (found && found.sequence !== i) throw new Error(`${found.sequence} stands for ${i}`)
          if (i < from || i > to) continue
          const expected = messages.find(message => message.sequence === i) ?? null
          if (found !== expected) throw new Error(`the newest block does not answer for ${i}`)
        }
      }
    }),
    { seed, numRuns: testRuns(150) }
  )
  t.pass()
})
