import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import { SETTINGS_SCHEMA } from './schema.ts'
import { SETTING_KEYS, type SettingKey, schemaOf } from './settings.ts'
import { didYouMean } from './suggestion.ts'
import { expectation, shownValue } from './wording.ts'

/** What is wrong with one key, in words that follow the key and its origin. */
export interface ValueProblem {
  readonly key: string
  readonly problem: string
}

/** How values are written: `typed` in a file (1883 is a number), `text` in variables and flags ("1883"). */
export type Writing = 'typed' | 'text'

const validators = new Map<Writing, ValidateFunction>()

/**
 * Checks the values of one source against the schema, one problem per key at most.
 * @param values by key; in the writing `text` those that fit are converted in place.
 */
export function validateValues(values: Record<string, unknown>, writing: Writing): ValueProblem[] {
  const validate = validatorFor(writing)
  if (validate(values)) return []
  const problems = new Map<string, ValueProblem>()
  for (const error of validate.errors ?? []) {
    const problem = describe(error, values)
    if (!problems.has(problem.key)) problems.set(problem.key, problem)
  }
  return [...problems.values()]
}

function validatorFor(writing: Writing): ValidateFunction {
  let validate = validators.get(writing)
  if (!validate) {
    // the schema is our own: to check it at every start takes longer than all else here
    const isChecked = { strict: true, validateSchema: false }
    const ajv = new Ajv({ ...isChecked, allErrors: true, verbose: true, coerceTypes: writing === 'text' })
    validate = ajv.compile(SETTINGS_SCHEMA)
    validators.set(writing, validate)
  }
  return validate
}

function describe(error: ErrorObject, values: Record<string, unknown>): ValueProblem {
  if (error.instancePath === '') {
    const key = String(error.params.additionalProperty)
    return { key, problem: `there is no such setting${didYouMean(key, SETTING_KEYS)}` }
  }
  const key = error.instancePath.split('/')[1] as SettingKey
  const found = error.keyword === 'uniqueItems' ? values[key] : error.data
  return { key, problem: `expected ${expectation(schemaOf(key))}, found ${shownValue(found)}` }
}
