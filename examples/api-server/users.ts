import { createHash, randomBytes } from 'node:crypto'
import { chmodSync, existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { z } from 'zod'

/** What a user may do. */
export const RIGHTS = ['customers:create', 'customers:read'] as const

/** One of {@link RIGHTS}. */
export type Right = (typeof RIGHTS)[number]

const User = z.strictObject({
  name: z.string().min(1),
  /** The file has no token by which somebody who reads it could log in. */
  tokenSha256: z.string().regex(/^[0-9a-f]{64}$/),
  rights: z.array(z.enum(RIGHTS))
})

const UsersFile = z.strictObject({ users: z.array(User) })

/** Somebody who may use the API. */
export type User = z.infer<typeof User>

/** The users of a file; it is read again when it has changed. */
export class Users {
  readonly #file: string
  #version = ''
  #byHash = new Map<string, User>()

  /** @throws Error when the file is missing or not as it must be. */
  constructor(file: string) {
    this.#file = file
    this.#read()
  }

  /** The user with this token. */
  find(token: string): User | undefined {
    try {
      this.#read()
    } catch (error) {
      console.error(`${error instanceof Error ? error.message : error}; going on with the users as they were`)
    }
    return this.#byHash.get(sha256(token))
  }

  #read(): void {
    const { mtimeMs, ino, size } = statSync(this.#file)
    const version = `${mtimeMs} ${ino} ${size}`
    if (version === this.#version) return
    this.#version = version
    this.#byHash = new Map(readUsers(this.#file).map(user => [user.tokenSha256, user]))
  }
}

/**
 * Adds a user to the file, or changes the one of this name.
 * @param token made when it is left out.
 * @returns the token, which stands nowhere else.
 */
export function addUser(
  file: string,
  name: string,
  rights: readonly Right[],
  token: string = randomBytes(24).toString('base64url')
): string {
  const others = existsSync(file) ? readUsers(file).filter(user => user.name !== name) : []
  const users = [...others, { name, tokenSha256: sha256(token), rights }]
  const newFile = `${file}.new` // put in place in one step: a server may read it at any time
  writeFileSync(newFile, `${JSON.stringify({ users }, null, 2)}\n`, { mode: 0o600 })
  chmodSync(newFile, 0o600)
  renameSync(newFile, file)
  return token
}

function readUsers(file: string): User[] {
  try {
    return UsersFile.parse(JSON.parse(readFileSync(file, 'utf8'))).users
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : String(error)
    throw new Error(`${file} is not a file of users: ${reason}`)
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
