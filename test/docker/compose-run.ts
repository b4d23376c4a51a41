import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { type Program, startProgram, testFolder } from '../helpers/process.ts'

/** What is used of a service in a compose file. */
export interface Service {
  readonly build?: { readonly context: string; readonly dockerfile: string; readonly target: string }
  readonly command: readonly string[]
  readonly ports?: readonly string[]
  readonly volumes?: readonly string[]
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly healthcheck?: { readonly test: readonly string[] }
}

/** What an image brings for a service. */
export interface Image {
  /** Its files. */
  readonly folder: string
  /** ENTRYPOINT; its first word is `node`. */
  readonly entrypoint: readonly string[]
}

/** What a program says when it is ready, with where it listens; other programs are ready when they are connected. */
const READY: Readonly<Record<string, RegExp>> = {
  server: /MQTT +mqtt:\/\/[^:]+:(?<p1883>\d+)\s+HTTP +http:\/\/[^:]+:(?<p8080>\d+)/,
  'api-server': /API server: http:\/\/[^:]+:(?<p3000>\d+)\n/,
  dashboard: /dashboard: http:\/\/[^:]+:(?<p3001>\d+)\n/
}

/**
 * Runs the services of a compose file as plain processes of this machine: the same command lines, with folders in
 * place of volumes, and free ports of this machine in place of those of the containers.
 */
export class ComposeRun {
  readonly #t: ExecutionContext
  readonly #volumes: string
  /** Address inside, `server:1883`, to port of this machine. */
  readonly #ports = new Map<string, string>()

  constructor(t: ExecutionContext) {
    this.#t = t
    this.#volumes = testFolder(t)
  }

  /** Starts a service and waits until it is ready, or has ended if it is one that runs once. */
  async start(name: string, service: Service, image: Image, runsOnce: boolean): Promise<Program> {
    const [, ...entrypoint] = image.entrypoint
    const [program = '', ...words] = [...entrypoint, ...service.command]
    const args = words.map(word => this.#here(word, service)).concat(name === 'server' ? FREE_PORTS : [])
    const started = startProgram(this.#t, process.execPath, [join(image.folder, program), ...args])
    if (runsOnce) await started.exited()
    else {
      const ready = READY[name] ?? /connected to /
      const found = await started.until(() => {
        if (started.exit) throw new Error(`${name} has ended: ${started.story()}`)
        return ready.exec(started.stdout) ?? undefined
      })
      for (const [port, value] of Object.entries(found.groups ?? {})) {
        this.#ports.set(`${name}:${port.slice(1)}`, value)
      }
    }
    return started
  }

  /** Runs the health check of a service to its end: 0 is well. */
  async health(name: string, service: Service, image: Image, check: readonly string[]): Promise<Program> {
    const [, script = '', ...args] = check
    const own = args.map(word => this.#here(word.replace('//127.0.0.1:', `//${name}:`), service))
    const program = startProgram(this.#t, process.execPath, [join(image.folder, script), ...own])
    await program.exited()
    return program
  }

  /** Port of this machine for an address inside: `server:8080`. */
  port(address: string): number {
    return Number(this.#ports.get(address))
  }

  /** A word of a command line as it is on this machine. */
  #here(word: string, { volumes = [] }: Service): string {
    let here = word
      .replace(/^--port=\d+$/, '--port=0')
      .replace('0.0.0.0', '127.0.0.1')
      .replace(/\/\/([\w-]+:\d+)/, (_, address) => `//127.0.0.1:${this.#ports.get(address)}`)
    for (const volume of volumes) {
      const [name = '', place = ''] = volume.split(':')
      const folder = join(this.#volumes, name)
      mkdirSync(folder, { recursive: true })
      here = here.replace(new RegExp(`(^|=)${place}(?=/|$)`), (_, before) => `${before}${folder}`)
    }
    return here
  }
}

const FREE_PORTS = ['--mqtt-port', '0', '--http-port', '0']
