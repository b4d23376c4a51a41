import { readFileSync } from 'node:fs'
import { z } from 'zod'

/** Somebody who is to be told of new customers. */
export interface SalesPerson {
  readonly name: string
  /** Number for texts, `+` and digits. @see ITU-T E.164 */
  readonly phone: string
}

const PHONE = /^\+[1-9]\d{6,14}$/

const fileSchema = z
  .array(
    z.object({
      name: z.string().min(1),
      phone: z.string().regex(PHONE, 'expected a number such as +15550100123')
    })
  )
  .min(1)

/** For a first try: numbers that are set aside for films. */
const SAMPLES: readonly SalesPerson[] = [
  { name: 'Sam', phone: '+15550100101' },
  { name: 'Kim', phone: '+15550100102' }
]

/**
 * The sales people: from a JSON file `[{"name", "phone"}]`, from options `NAME=PHONE`, or two samples when
 * neither is given.
 * @throws Error that says what is wrong and where.
 */
export function readSalesPeople(file: string | undefined, people: readonly string[]): readonly SalesPerson[] {
  const all = [...(file === undefined ? [] : fromFile(file)), ...people.map(fromOption)]
  return all.length > 0 || file !== undefined ? withoutRepeats(all) : SAMPLES
}

function fromFile(file: string): SalesPerson[] {
  try {
    return fileSchema.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch (cause) {
    const problem = cause instanceof z.ZodError ? z.prettifyError(cause) : (cause as Error).message
    throw new Error(
      `sales people in ${file}: expected [{"name": "Ann", "phone": "+15550100123"}]: ${problem}`,
      { cause }
    )
  }
}

function fromOption(person: string): SalesPerson {
  const [, name, phone] = /^(.+)=(.*)$/.exec(person) ?? []
  if (name && phone && PHONE.test(phone)) return { name, phone }
  throw new Error(`--sales-person: expected one such as Ann=+15550100123, found ${person}`)
}

/** One text for each number, whoever answers it. */
function withoutRepeats(people: readonly SalesPerson[]): SalesPerson[] {
  return [...new Map(people.map(person => [person.phone, person])).values()]
}
