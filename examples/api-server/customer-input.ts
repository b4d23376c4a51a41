import { z } from 'zod'
import { Problem } from '../shared/problem.ts'

/** Control characters, and halves of a surrogate pair. */
const UNWRITABLE = /[\p{Cc}\p{Cs}]/u

function notText({ input }: { readonly input?: unknown }): string {
  return input === undefined ? 'is missing' : 'must be a text'
}

/** One form for texts that look the same: Unicode NFC, no spaces around, one space between words. */
function normalText(text: string): string {
  return text.normalize('NFC').trim().replace(/\s+/g, ' ')
}

const Name = z
  .string({ error: notText })
  .transform(normalText)
  .pipe(
    z
      .string()
      .min(1, 'must not be empty')
      .max(200, 'must have 200 characters at most')
      .refine(text => !UNWRITABLE.test(text), 'must not have control characters')
  )

const Email = z
  .string({ error: notText })
  .transform(text => normalText(text).toLowerCase())
  .pipe(
    z
      .email({ pattern: z.regexes.unicodeEmail, error: 'must be an e-mail address, such as ann@example.com' })
      .max(254, 'must have 254 characters at most')
      .refine(text => !UNWRITABLE.test(text), 'must not have control characters')
  )

const CustomerInput = z.strictObject(
  { name: Name, email: Email },
  { error: issue => (issue.code === 'invalid_type' ? 'must be an object with name and email' : undefined) }
)

/**
 * Checks what a user wants a customer to be, and gives it in its normal form.
 * @throws Problem 422 with each field that is wrong.
 */
export function customerInput(body: unknown): { readonly name: string; readonly email: string } {
  const result = CustomerInput.safeParse(body)
  if (result.success) return result.data
  const errors = result.error.issues.flatMap(issue =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map(key => ({
          pointer: pointer([key]),
          detail: 'is not known; a customer has name and email'
        }))
      : [{ pointer: pointer(issue.path), detail: issue.message }]
  )
  throw new Problem(422, 'the customer is not as it must be; errors names the fields', { errors })
}

/** @see RFC 6901 */
function pointer(path: readonly PropertyKey[]): string {
  return path.map(key => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}
