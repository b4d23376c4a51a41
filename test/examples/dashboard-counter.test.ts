import { pathToFileURL } from 'node:url'
import test from 'ava'
import fc from 'fast-check'
import { pageFiles } from '../../examples/dashboard/files.ts'

const numRuns = Number(process.env.RESTANTE_TEST_RUNS ?? 300)
const seed = Number(process.env.RESTANTE_TEST_SEED ?? Date.now() % 2 ** 31)

interface Count {
  readonly count: number
  readonly through: number
}

interface Counter {
  readonly total: number | undefined
  counted(count: Count): void
  created(number: number): boolean
}

interface Plot {
  wholeTicks(most: number): number[]
}

interface History {
  add(customer: { readonly number: number; readonly createdAt: string }): void
  counts(intervalMs: number, intervals: number, nowMs: number): number[]
}

/** The modules of the page, as browsers get them. */
async function pageModule<T>(name: string): Promise<T> {
  return (await import(pathToFileURL(pageFiles().get(`/page/${name}.js`)!).href)) as T
}

const { Counter } = await pageModule<{ Counter: new () => Counter }>('counter')
const { History } = await pageModule<{ History: new () => History }>('history')
const { wholeTicks } = await pageModule<Plot>('plot')

/** Customers are created, events and counts travel, connections come and go. */
class World {
  readonly counter = new Counter()
  created = 0
  /** Counts on their way to the page, and those of this connection among them. */
  readonly reads: Count[] = []
  #isConnected = false
  /** Numbers of events on their way to the page. */
  #events: number[] = []

  create(): void {
    this.created += 1
    if (this.#isConnected) this.#events.push(this.created)
  }

  /** The page is subscribed, and then asks for the count. */
  connect(): void {
    if (this.#isConnected) return
    this.#isConnected = true
    this.read()
  }

  read(): void {
    this.reads.push({ count: this.created, through: this.created })
  }

  cut(): void {
    this.#isConnected = false
    this.#events = []
  }

  deliver(): void {
    const number = this.#events.shift()
    if (number !== undefined) this.counter.created(number)
  }

  /** An event of long ago comes once more, as at-least-once allows. */
  repeat(pick: number): void {
    if (this.created > 0) this.counter.created((pick % this.created) + 1)
  }

  answer(pick: number): void {
    const [count] = this.reads.splice(pick % (this.reads.length || 1), 1)
    if (count) this.counter.counted(count)
  }

  settle(): void {
    this.connect()
    this.read()
    while (this.reads.length > 0) this.answer(0)
    while (this.#events.length > 0) this.deliver()
  }
}

const step = fc.tuple(
  fc.constantFrom('create', 'create', 'create', 'deliver', 'deliver', 'repeat', 'answer', 'connect', 'cut'),
  fc.nat(100)
)

test('the count is right when all has arrived, however events and counts come, and never too high', t => {
  t.log(`RESTANTE_TEST_SEED=${seed}`)
  const property = fc.property(fc.array(step, { maxLength: 100, size: 'max' }), steps => {
    const world = new World()
    for (const [what, pick] of steps) {
      world[what as 'create'](...([pick] as unknown as []))
      if ((world.counter.total ?? 0) > world.created)
        throw new Error(`${world.counter.total} of ${world.created}`)
    }
    world.settle()
    if (world.counter.total !== world.created) throw new Error(`${world.counter.total}, not ${world.created}`)
  })
  fc.assert(property, { numRuns, seed })
  t.pass()
})

test('there is no number before the first count, and none is counted twice after it', t => {
  const counter = new Counter()
  t.true(counter.created(0)) // nobody has this number, but anybody may publish it
  t.true(counter.created(5))
  t.is(counter.total, undefined)
  counter.counted({ count: 4, through: 4 })
  t.is(counter.total, 5)
  t.false(counter.created(5))
  t.false(counter.created(3))
  t.true(counter.created(8))
  t.false(counter.created(8))
  t.is(counter.total, 6)
  counter.counted({ count: 3, through: 3 }) // was asked for earlier and has come late
  t.is(counter.total, 6)
})

test('customers stand in the interval in which they were created, each once', t => {
  const history = new History()
  const nowMs = Date.parse('2026-01-02T03:04:10.500Z')
  const customers = ['09.999', '10.000', '10.499', '10.700', '07.000', '06.999']
  for (const [number, second] of customers.entries()) {
    history.add({ number, createdAt: `2026-01-02T03:04:${second}Z` })
    history.add({ number, createdAt: `2026-01-02T03:04:${second}Z` })
  }
  history.add({ number: 100, createdAt: '2026-01-02T03:04:11.200Z' }) // its clock is ahead
  t.deepEqual(history.counts(1_000, 4, nowMs), [1, 0, 1, 4])
})

test('the scale of the plot has a few whole numbers, and room for the highest bar', t => {
  t.deepEqual(wholeTicks(0), [0, 1])
  t.deepEqual(wholeTicks(1), [0, 1])
  t.deepEqual(wholeTicks(7), [0, 2, 4, 6, 8])
  for (let most = 0; most < 5_000; most++) {
    const ticks = wholeTicks(most)
    t.true(ticks.every(Number.isInteger) && ticks.length <= 6 && ticks.at(-1)! >= most, `${most}: ${ticks}`)
  }
})
