import test from 'ava'
import fc from 'fast-check'
import { MemoryStore } from '../../plugins/store-memory/memory-store.ts'
import type { CommitBatch, Owed } from '../../src/store/store.ts'
import { batchOf, type MessageSpec, readLane } from '../helpers/batches.ts'
import { LocalFolder } from '../helpers/local-folder.ts'
import { randomOf, testRandom, testRuns } from '../helpers/tools-random.ts'

type Fsync = 'always' | 'interval' | 'off'

type Step =
  | {
      readonly kind: 'commit'
      readonly messages: readonly { readonly bytes: number; readonly streams: number }[]
    }
  | { readonly kind: 'release'; readonly cursors: readonly number[]; readonly pending: readonly number[] }
  | { readonly kind: 'stop'; readonly how: 'close' | 'kill' | 'power'; readonly seed: number }
  | { readonly kind: 'sync' }
  | { readonly kind: 'full'; readonly bytes: number }

const STREAMS = [1, 2, 3]

const message = fc.record({
  bytes: fc.oneof({ weight: 4, arbitrary: fc.nat(200) }, { weight: 1, arbitrary: fc.nat(40_000) }),
  streams: fc.nat(7)
})
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('commit' as const),
      messages: fc.array(message, { minLength: 1, maxLength: 30 })
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('release' as const),
      cursors: fc.array(fc.nat(100), { minLength: 3, maxLength: 3 }),
      pending: fc.array(fc.nat(1_000), { maxLength: 4 })
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('stop' as const),
      how: fc.constantFrom('close', 'kill', 'power'),
      seed: fc.nat()
    })
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('sync' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('full' as const), bytes: fc.nat(500) }) }
)

/** The local store beside the memory store, which never loses anything. */
class Pair {
  readonly #folder: LocalFolder
  readonly #fsync: Fsync
  readonly #model = new MemoryStore()
  readonly #cursors = STREAMS.map(() => 0)
  #pending: number[] = []
  #next = 1
  /** All up to here must be there after a power cut. */
  #safeThrough = 0
  #boot = 0
  /** What power cuts took, with weak fsync. */
  readonly #lost = new Set<number>()

  constructor(folder: LocalFolder, fsync: Fsync) {
    this.#folder = folder
    this.#fsync = fsync
  }

  async open(): Promise<void> {
    const { nextSequence, postings } = await this.#folder.open({ fsync: this.#fsync, boot: `${this.#boot}` })
    if (nextSequence < this.#next)
      throw new Error(`sequence ${nextSequence} comes again, ${this.#next} was next`)
    this.#next = nextSequence
    checkAscending(postings)
    await this.#compare(
      [...postings].map(({ streamId, sequences }) => ({ streamId, sequences: [...sequences] }))
    )
    this.#safeThrough = this.#next - 1 // what was found is synced at open
  }

  async run(step: Step): Promise<void> {
    if (step.kind === 'commit') await this.#commit(this.#batch(step.messages))
    else if (step.kind === 'release') await this.#release(step.cursors, step.pending)
    else if (step.kind === 'sync') await this.#sync()
    else if (step.kind === 'full') await this.#refuse(step.bytes)
    else await this.#stop(step.how, step.seed)
  }

  #batch(messages: readonly { bytes: number; streams: number }[]): CommitBatch {
    const specs: MessageSpec[] = messages.map(({ bytes, streams }, place) => ({
      payload: Buffer.alloc(bytes, this.#next + place),
      streamIds: STREAMS.filter((_, bit) => (streams >> bit) & 1)
    }))
    return batchOf(this.#next, specs, 7)
  }

  async #commit(batch: CommitBatch): Promise<void> {
    await this.#folder.commit(batch)
    await this.#model.lane.commit(batch)
    this.#next += batch.messages.length
    if (this.#fsync === 'always') this.#safeThrough = this.#next - 1
  }

  async #release(cursors: readonly number[], pending: readonly number[]): Promise<void> {
    for (const [place, percent] of cursors.entries()) {
      const cursor = this.#cursors[place]!
      this.#cursors[place] = cursor + Math.floor(((this.#next - 1 - cursor) * percent) / 100)
    }
    const lowest = Math.min(...this.#cursors)
    // only what was owed before can stay so
    this.#pending = [
      ...new Set([...this.#pending.filter(() => pending.length > 1), ...pending.map(i => lowest + 1 + i)])
    ]
      .filter(sequence => sequence < this.#next)
      .sort((a, b) => a - b)
    const owed: Owed = { above: id => this.#cursors[id - 1] ?? 0, pending: this.#pending }
    await this.#folder.store.lane.release(owed)
    await this.#model.lane.release(owed)
    await this.#compare(null)
  }

  async #sync(): Promise<void> {
    this.#folder.tick()
    await this.#folder.files.idle()
    if (this.#fsync === 'interval') this.#safeThrough = this.#next - 1
  }

  async #refuse(bytesBefore: number): Promise<void> {
    const isOver = this.#folder.files.fail({ operation: 'write', path: '.seg', code: 'ENOSPC', bytesBefore })
    const refused = await this.#folder.commit(this.#batch([{ bytes: 600, streams: 1 }])).then(
      () => false,
      () => true
    )
    isOver()
    if (!refused) throw new Error('a commit passed on a full disk')
  }

  async #stop(how: 'close' | 'kill' | 'power', seed: number): Promise<void> {
    if (how === 'close') await this.#folder.store.close()
    else if (how === 'kill') await this.#folder.kill()
    else {
      await this.#folder.cutPower(randomOf(seed))
      this.#boot++
    }
    if (how !== 'power') this.#safeThrough = this.#next - 1
    await this.open()
  }

  /** Everything the model has is there, unless a power cut may have taken it; nothing is other than it was. */
  async #compare(postings: readonly { streamId: number; sequences: number[] }[] | null): Promise<void> {
    const expected = await readLane(this.#model.lane, 1, this.#next - 1)
    const found = new Map(
      (await readLane(this.#folder.store.lane, 1, this.#next - 1)).map(each => [each.sequence, each])
    )
    const posted = new Set(
      postings?.flatMap(({ streamId, sequences }) => sequences.map(i => `${streamId}:${i}`))
    )
    const streams = new Map(
      this.#model.lane
        .postings()
        .flatMap(({ streamId, sequences }) => [...sequences].map(i => [`${streamId}:${i}`, i]))
    )
    for (const message of expected) {
      const { sequence } = message
      const same = found.get(sequence)
      if (!same) {
        if (sequence <= this.#safeThrough && !this.#lost.has(sequence)) throw new Error(`${sequence} is lost`)
        this.#lost.add(sequence)
      } else if (this.#lost.has(sequence)) throw new Error(`${sequence} came back`)
      else if (!same.payload().equals(message.payload())) throw new Error(`${sequence} is not what it was`)
    }
    if (!postings) return
    for (const [posting, sequence] of streams) {
      if (!posted.has(posting) && !this.#lost.has(sequence as number))
        throw new Error(`posting ${posting} is lost`)
    }
  }
}

function checkAscending(postings: Iterable<{ streamId: number; sequences: ArrayLike<number> }>): void {
  const last = new Map<number, number>()
  for (const { streamId, sequences } of postings) {
    for (const sequence of Array.from(sequences)) {
      if (sequence <= (last.get(streamId) ?? 0))
        throw new Error(`posting ${streamId}:${sequence} is out of order`)
      last.set(streamId, sequence)
    }
  }
}

for (const fsync of ['always', 'interval', 'off'] as const) {
  test(`the local journal has what the one in memory has, whatever stops it, fsync ${fsync}`, async t => {
    const { seed } = testRandom(t)
    const steps = fc.array(step, { minLength: 5, maxLength: 30 })
    await fc.assert(
      fc.asyncProperty(steps, async given => {
        const teardowns: (() => unknown)[] = []
        const folder = await LocalFolder.create({ teardown: teardown => void teardowns.push(teardown) })
        try {
          const pair = new Pair(folder, fsync)
          await pair.open()
          for (const each of given) await pair.run(each)
          await pair.run({ kind: 'stop', how: 'power', seed: 1 })
        } finally {
          for (const teardown of teardowns) await teardown()
        }
      }),
      { seed, numRuns: testRuns(5), endOnFailure: process.env.RESTANTE_TEST_SHRINK !== '1' }
    )
    t.pass()
  })
}
