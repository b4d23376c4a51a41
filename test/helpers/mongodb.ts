import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext, TestFn } from 'ava'
import { MongoClient } from 'mongodb'
import { type Program, startProgram, testFolder } from './process.ts'
import { skip } from './tools.ts'

/** An empty database of MongoDB, for one test. */
export interface TestMongodb {
  /** Address with the name of the database, as programs take it: `mongodb://127.0.0.1:41234/restante_test_…`. */
  readonly url: string
  readonly databaseName: string
  /** Connected; closed when the test ends. */
  readonly client: MongoClient
  /** Ends the server (`SIGKILL` by default), for tests of what happens without it; not one that others use as well. */
  stop(signal?: NodeJS.Signals): Promise<void>
  /** Starts the server again on the same address and files, after `stop`. */
  restart(): Promise<void>
}

interface Server {
  readonly url: string
  /** Whether others use it too, so that it is not ours to stop. */
  readonly isShared: boolean
  stop(signal: NodeJS.Signals): Promise<void>
  restart(): Promise<void>
}

/** A server for all tests of a file. */
export interface MongodbOfFile {
  /** Address of an empty database for one test; undefined, with the test marked as skipped, when there is no server. */
  database(t: ExecutionContext): string | undefined
}

const BUILD = 'test/ferretdb/build.sh'

/** The folder of the project. */
const TOP = fileURLToPath(new URL('../../../', import.meta.url))

/**
 * A fresh database, on the first of these that is there: the server at MONGODB_URL, `mongod` on the path, FerretDB as
 * `test/ferretdb/build.sh` builds it (it never builds by itself). Without any the test is skipped as `needs` does, and
 * undefined is returned. Use: `const mongodb = await startMongodb(t); if (!mongodb) return`.
 */
export async function startMongodb(t: ExecutionContext): Promise<TestMongodb | undefined> {
  const server = await startAny(t)
  if (!server) return skipWithout(t)
  const databaseName = newName()
  const url = withDatabase(server.url, databaseName)
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 15_000 })
  t.teardown(async () => {
    if (server.isShared) await client.db(databaseName).dropDatabase() // the files of others go with the folder of the test
    await client.close()
  })
  await client.connect()
  return {
    url,
    databaseName,
    client,
    stop: (signal = 'SIGKILL') => server.stop(signal),
    restart: () => server.restart()
  }
}

/**
 * A server as {@link startMongodb} finds it, started before the first test of a file and ended after the last. Called
 * once, at the top of the file. Use: `const url = mongodb.database(t); if (!url) return`.
 */
export function mongodbOfFile(test: TestFn): MongodbOfFile {
  const ends: (() => unknown)[] = []
  // hooks have no teardown of their own
  const hook = { teardown: (end: () => unknown) => ends.unshift(end) } as unknown as ExecutionContext
  let server: Server | undefined
  test.before('a MongoDB for this file starts', async () => {
    server = await startAny(hook)
  })
  test.after.always('the MongoDB of this file ends', async () => {
    for (const end of ends) await end()
  })
  return {
    database(t) {
      if (!server) return skipWithout(t)
      const { url, isShared } = server
      const name = newName()
      if (isShared) t.teardown(() => drop(url, name))
      return withDatabase(url, name)
    }
  }
}

function newName(): string {
  return `restante_test_${randomUUID().slice(0, 8)}`
}

function skipWithout(t: ExecutionContext): undefined {
  skip(t, `needs a MongoDB (get it: ${BUILD}, or apt-get install mongodb, or set MONGODB_URL)`)
}

async function drop(url: string, databaseName: string): Promise<void> {
  const client = new MongoClient(url)
  await client.db(databaseName).dropDatabase()
  await client.close()
}

async function startAny(t: ExecutionContext): Promise<Server | undefined> {
  const given = process.env.MONGODB_URL
  if (given) return { url: given, isShared: true, stop: refuse, restart: refuse }
  const mongod = output('sh', ['-c', 'command -v mongod'])
  if (mongod) return await startMongod(t, mongod)
  const ferret = output('bash', [join(TOP, BUILD), '--binary'])
  return ferret ? await startFerret(t, ferret) : undefined
}

async function refuse(): Promise<never> {
  throw new Error('the server at MONGODB_URL is not ours to stop')
}

async function startMongod(t: ExecutionContext, binary: string): Promise<Server> {
  const port = await freePort()
  const folder = join(testFolder(t), 'mongod')
  mkdirSync(folder)
  const args = ['--dbpath', folder, '--port', String(port), '--bind_ip', '127.0.0.1']
  const start = async () => {
    const program = startProgram(t, binary, args)
    await untilSays(program, 'stdout', /Waiting for connections/)
    return program
  }
  return await restartable(`mongodb://127.0.0.1:${port}/`, start)
}

async function startFerret(t: ExecutionContext, binary: string): Promise<Server> {
  const folder = join(testFolder(t), 'ferretdb')
  let address = '127.0.0.1:0'
  const start = async () => {
    const program = startProgram(t, binary, ['-data', folder, '-listen', address])
    address = await untilSays(program, 'stdout', /mongodb:\/\/([^/]+)\/\n/)
    return program
  }
  const program = await start()
  return await restartable(`mongodb://${address}/`, start, program)
}

async function restartable(url: string, start: () => Promise<Program>, started?: Program): Promise<Server> {
  let program = started ?? (await start())
  return {
    url,
    isShared: false,
    async stop(signal) {
      await program.kill(signal)
    },
    async restart() {
      program = await start()
    }
  }
}

/** Waits for an output; the first group of it. */
async function untilSays(program: Program, stream: 'stdout' | 'stderr', pattern: RegExp): Promise<string> {
  const look = () => {
    if (program.exit) throw new Error(`the database did not start: ${program.story()}`)
    return pattern.exec(program[stream])
  }
  const found = await program.until(() => look() ?? undefined, undefined, `${pattern}`)
  return found[1] ?? ''
}

/** What a command prints, or undefined when it fails. */
function output(command: string, args: readonly string[]): string | undefined {
  try {
    return execFileSync(command, args, { stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trim()
  } catch {
    return undefined
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise<void>(resolve => server.close(() => resolve()))
  return port
}

/** The address with another database; whoever logs in does so where the address said before. */
function withDatabase(url: string, databaseName: string): string {
  const parts = /^(mongodb(?:\+srv)?:\/\/(?:[^@/]+(@))?[^/?]+)(?:\/([^?]*))?(?:\?(.*))?$/.exec(url)
  if (!parts) throw new Error(`MONGODB_URL is not an address such as mongodb://localhost:27017 (${url})`)
  const [, server, login, database, query] = parts
  const options = new URLSearchParams(query)
  if (login && !options.has('authSource')) options.set('authSource', database || 'admin')
  return `${server}/${databaseName}${options.size > 0 ? `?${options}` : ''}`
}
