import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BSON, MongoClient } from 'mongodb'
import { freePort, reachable } from './servers.ts'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const FERRETDB = here('../../test/ferretdb/build.sh')

/** What a database holds. */
export interface Held {
  readonly documents: number
  /** BSON of the documents, without indexes. */
  readonly bytes: number
}

/** A MongoDB under load: the one at MONGODB_URL, else `mongod`, else FerretDB, in a folder of its own. */
export class Mongodb {
  readonly name: string
  readonly #url: string
  readonly #client: MongoClient
  readonly #end: () => Promise<void>
  #databases = 0

  private constructor(name: string, url: string, client: MongoClient, end: () => Promise<void>) {
    this.name = name
    this.#url = url
    this.#client = client
    this.#end = end
  }

  static async start(): Promise<Mongodb> {
    const given = process.env.MONGODB_URL
    const { url, end } = given ? { url: given, end: async () => {} } : await startOwn()
    const client = await new MongoClient(url, { serverSelectionTimeoutMS: 20_000 }).connect()
    const { version, ferretdb, ferretdbVersion } = await client.db('admin').command({ buildInfo: 1 })
    const isFerret = ferretdb !== undefined || ferretdbVersion !== undefined
    return new Mongodb(`${isFerret ? 'FerretDB, as MongoDB' : 'MongoDB'} ${version}`, url, client, end)
  }

  /** Runs a task on a database of its own. */
  async withDatabase<T>(task: (database: BenchDatabase) => Promise<T>): Promise<T> {
    const name = `bench_${process.pid}_${++this.#databases}`
    const url = this.#url.replace(/^(mongodb(?:\+srv)?:\/\/[^/?]+)\/?[^?]*/, `$1/${name}`)
    try {
      return await task({ url, held: () => this.#held(name), count: (...of) => this.#count(name, ...of) })
    } finally {
      await this.#client.db(name).dropDatabase()
    }
  }

  async stop(): Promise<void> {
    await this.#client.close()
    await this.#end()
  }

  #count(database: string, collection: string, filter: object): Promise<number> {
    return this.#client.db(database).collection(collection).countDocuments(filter)
  }

  async #held(database: string): Promise<Held> {
    let documents = 0
    let bytes = 0
    for (const { name } of await this.#client.db(database).listCollections().toArray()) {
      for await (const document of this.#client.db(database).collection(name).find()) {
        documents++
        bytes += BSON.calculateObjectSize(document)
      }
    }
    return { documents, bytes }
  }
}

/** An empty database. */
export interface BenchDatabase {
  readonly url: string
  held(): Promise<Held>
  count(collection: string, filter: object): Promise<number>
}

/** A server on a database. */
export interface MongodbPeer {
  readonly name: string
  spawn(port: number, url: string, broker: number): ChildProcess
  /** Whether so many messages that one session is owed are in the database. */
  hasStored(database: BenchDatabase, messages: number, sessions: number): Promise<boolean>
}

const quiet = { stdio: ['ignore', 'ignore', 'inherit'] as ('ignore' | 'inherit')[] }

/** This server, on the same database. @param options further ones of `restante start`. */
export function restanteOn(name: string, options: readonly string[] = []): MongodbPeer {
  return {
    name,
    spawn(port, url, broker) {
      const words = ['--mqtt-port', `${port}`, '--http-port', '0', '--log-level', 'error']
      const store = ['--store', 'mongodb', '--mongodb-url', url, '--broker-name', `bench-${broker}`]
      return spawn(
        process.execPath,
        [here('../src/commands/main.js'), 'start', ...words, ...store, ...options],
        quiet
      )
    },
    hasStored: async () => true // it was, when it was acked
  }
}

/** Aedes alone, with aedes-persistence-mongodb. */
export const aedesMongodb: MongodbPeer = {
  name: 'aedes + aedes-persistence-mongodb',
  spawn: (port, url) => spawn(process.execPath, [here('./aedes-mongodb-server.js'), `${port}`, url], quiet),
  hasStored: async (database, messages, sessions) =>
    (await database.count('outgoing', {})) >= messages * sessions
}

/** Runs a task against fresh servers on one database, and stops them. */
export async function withPeers<T>(
  peer: MongodbPeer,
  database: BenchDatabase,
  brokers: number,
  task: (ports: readonly number[]) => Promise<T>
): Promise<T> {
  const children: ChildProcess[] = []
  const ports: number[] = []
  try {
    for (let broker = 0; broker < brokers; broker++) {
      const port = await freePort()
      children.push(peer.spawn(port, database.url, broker))
      await reachable(port)
      ports.push(port)
    }
    return await task(ports)
  } finally {
    for (const child of children) {
      if (child.exitCode !== null) continue
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  }
}

async function startOwn() {
  const folder = await mkdtemp(join(tmpdir(), 'restante-bench-mongodb-'))
  const port = await freePort()
  const mongod = output('sh', ['-c', 'command -v mongod'])
  const ferretdb = mongod ? '' : output('bash', [FERRETDB, '--binary'])
  if (!mongod && !ferretdb)
    throw new Error(`needs a MongoDB: set MONGODB_URL, install mongod, or run ${FERRETDB}`)
  const child = mongod
    ? spawn(mongod, ['--dbpath', folder, '--port', `${port}`, '--bind_ip', '127.0.0.1'], quiet)
    : spawn(ferretdb, ['-data', folder, '-listen', `127.0.0.1:${port}`], quiet)
  return {
    url: `mongodb://127.0.0.1:${port}/`,
    async end() {
      child.kill('SIGKILL')
      await once(child, 'exit')
      await rm(folder, { recursive: true, force: true })
    }
  }
}

function output(command: string, args: readonly string[]): string {
  try {
    return execFileSync(command, args, { stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trim()
  } catch {
    return ''
  }
}
