/** One instruction of a Dockerfile. */
export interface Instruction {
  /** In capitals: `COPY`. */
  readonly name: string
  /** What follows, over all its lines. */
  readonly text: string
}

/** A stage: what stands from one `FROM` to the next. */
export interface Stage {
  readonly name: string
  /** An image, or the name of an earlier stage. */
  readonly base: string
  readonly instructions: readonly Instruction[]
}

/** Reads a Dockerfile, without what is not used here: heredocs, escape directives, variables. */
export function parseDockerfile(text: string): Stage[] {
  const lines = text
    .split('\n')
    .filter(line => !/^\s*(#|$)/.test(line))
    .join('\n')
    .replace(/\\\n\s*/g, '')
  const stages: (Stage & { instructions: Instruction[] })[] = []
  for (const line of lines.split('\n').filter(Boolean)) {
    const [, name = '', rest = ''] = /^(\S+)\s+(.*)$/.exec(line) ?? []
    if (name === 'FROM') {
      const [base = '', , stage = ''] = rest.split(/\s+/)
      stages.push({ name: stage, base, instructions: [] })
    } else stages.at(-1)?.instructions.push({ name, text: rest })
  }
  return stages
}

/** The instructions of a stage and of those it stands on, from the bottom up. */
export function allInstructions(stages: readonly Stage[], name: string): Instruction[] {
  const stage = stages.find(one => one.name === name)
  return stage ? [...allInstructions(stages, stage.base), ...stage.instructions] : []
}

/** What a COPY copies. */
export interface Copy {
  /** Stage that the files come from; undefined: from the project. */
  readonly from: string | undefined
  readonly sources: readonly string[]
  readonly target: string
}

/** The files that a list of instructions copies. */
export function copies(instructions: readonly Instruction[]): Copy[] {
  return instructions
    .filter(({ name }) => name === 'COPY')
    .map(({ text }) => {
      const words = text.split(/\s+/)
      const flags = words.filter(word => word.startsWith('--'))
      const paths = words.filter(word => !word.startsWith('--'))
      const from = flags.find(flag => flag.startsWith('--from='))?.slice('--from='.length)
      return { from, sources: paths.slice(0, -1), target: paths.at(-1)! }
    })
}
