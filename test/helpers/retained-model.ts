import type { ModelMessage } from './delivery-model.ts'

/** What is retained under one topic, as far as it is known. */
interface Entry {
  /** Before `writes`; null when nothing is retained. */
  before: Set<ModelMessage | null>
  /** Later messages whose place in the order of acceptance is not known yet. */
  writes: ModelMessage[]
}

/** The retained message of each topic, or those that it may be where acceptance is in doubt. */
export class RetainedModel {
  readonly #byTopic = new Map<string, Entry>()

  /** A retained message is on its way. */
  sent(message: ModelMessage): void {
    const entry = this.#byTopic.get(message.topic) ?? { before: new Set([null]), writes: [] }
    entry.writes.push(message)
    this.#byTopic.set(message.topic, entry)
  }

  /** A message was never accepted. */
  refused(message: ModelMessage): void {
    const entry = this.#byTopic.get(message.topic)
    if (entry) entry.writes = entry.writes.filter(other => other !== message)
  }

  /** Everything that was sent is accepted by now, or will be sent again (`unresolved`). */
  decide(unresolved: readonly ModelMessage[]): void {
    for (const entry of this.#byTopic.values()) {
      const { writes } = entry
      if (writes.length === 0 || writes.some(message => unresolved.includes(message))) continue
      const last = writes.at(-1)!
      // with QoS 1 one may be accepted again behind a later one of QoS 2, which is not
      const isPlain = writes.every(({ sends, qos }) => sends === 1 || qos === last.qos)
      const isOrdered = isPlain && writes.every(({ publisher }) => publisher === last.publisher)
      const isSure = writes.every(({ qos, acceptedAt }) => qos > 0 && Number.isFinite(acceptedAt))
      const isCertain = isOrdered && isSure
      entry.before = new Set(isCertain ? [kept(last)] : [...entry.before, ...writes.map(kept)])
      entry.writes = []
    }
  }

  /** What may be retained, by topic. */
  table(): ReadonlyMap<string, ReadonlySet<ModelMessage | null>> {
    return new Map(
      [...this.#byTopic].map(([topic, { before, writes }]) => [
        topic,
        new Set([...before, ...writes.map(kept)])
      ])
    )
  }

  /** Compares with what was found, payload by topic; what was in doubt is known from then on. @returns what is wrong. */
  compare(found: ReadonlyMap<string, string>): string[] {
    const problems: string[] = []
    for (const topic of found.keys()) if (!this.#byTopic.has(topic)) problems.push(`${topic} is retained`)
    for (const [topic, entry] of this.#byTopic) {
      const possible = [...entry.before, ...entry.writes.map(kept)]
      const payload = found.get(topic)
      const seen = possible.filter(message => message?.payload === payload)
      if (seen.length === 0) {
        const expected = possible.map(message => message?.payload ?? 'nothing').join(' or ')
        problems.push(`${payload ?? 'nothing'} is retained for ${topic}, not ${expected}`)
      } else if (entry.writes.length === 0) entry.before = new Set(seen)
    }
    return problems
  }
}

function kept(message: ModelMessage): ModelMessage | null {
  return message.payload === '' ? null : message
}
