import type { HttpScene } from './http-scene.ts'

/** The figures of one scrape. */
export class Figures {
  readonly text: string
  readonly #values = new Map<string, number>()
  /** Names of metrics, as their HELP lines tell them, with their types. */
  readonly types = new Map<string, string>()

  constructor(text: string) {
    this.text = text
    for (const line of text.split('\n')) {
      const [, name, type] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? []
      if (name !== undefined && type !== undefined) this.types.set(name, type)
      const [, series, value] = /^([^#\s{]+(?:\{.*\})?) (\S+)$/.exec(line) ?? []
      if (series !== undefined) this.#values.set(series, value === 'Nan' ? Number.NaN : Number(value))
    }
  }

  /** The value of a series, written as in the text: `name` or `name{label="value"}`; undefined when there is none. */
  of(series: string): number | undefined {
    return this.#values.get(series)
  }

  /** All series, in the order of the text. */
  get series(): string[] {
    return [...this.#values.keys()]
  }
}

/** Scrapes a server. */
export async function scrape({ request }: HttpScene): Promise<Figures> {
  const { status, headers, text } = await request('/metrics')
  if (status !== 200) throw new Error(`GET /metrics: ${status} ${text}`)
  const type = headers.get('content-type')
  if (type !== 'text/plain; version=0.0.4; charset=utf-8') throw new Error(`GET /metrics: ${type}`)
  return new Figures(text)
}
