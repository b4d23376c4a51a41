import { Program } from '../../helpers/process.ts'

/** The versions by their names, as the tools spell them. */
export const VERSIONS = { '3.1': '31', '3.1.1': '311', '5': '5' } as const

/** The name of a version. */
export type Version = keyof typeof VERSIONS

/** Fields of a message: QoS, retain flag, topic, payload; see `mosquitto_sub(1)`. */
const FIELDS = ['%q', '%r', '%t', '%p'] as const
/** Between fields; nothing that a check sends has it. */
const BORDER = '|'
/** What the lines of messages begin with, to tell them from those about packets. */
const MARK = 'message'

/** A message that arrived; `more` has the fields that were asked for. */
export interface Message {
  readonly qos: number
  readonly retain: boolean
  readonly topic: string
  readonly payload: string
  readonly more: readonly string[]
}

/** How to subscribe. */
export interface SubOptions {
  readonly filters: readonly string[]
  readonly qos?: number
  /** Further arguments of `mosquitto_sub`. */
  readonly args?: readonly string[]
  /** Further fields, as `mosquitto_sub` names them. */
  readonly fields?: readonly string[]
}

/** The tools, in one version, and the server that they are used with. */
export class Tools {
  readonly version: Version
  readonly #common: readonly string[]
  readonly #running = new Set<Program>()

  constructor(port: string, version: Version) {
    this.version = version
    this.#common = ['--nodelay', '-h', '127.0.0.1', '-p', port, '-V', VERSIONS[version]]
  }

  /** Publishes payloads by one connection, in order; gives what the tool says about its packets. */
  async publish(topic: string, payloads: string | readonly string[], ...args: string[]): Promise<string> {
    const tool = ['mosquitto_pub', '-d', ...this.#common, '-t', topic, ...args]
    const program = this.#start(typeof payloads === 'string' ? one(tool, payloads) : many(tool, payloads))
    await ended(program)
    return program.stdout
  }

  /** Subscribes and stays, once the server has confirmed. */
  async subscribe(clientId: string, options: SubOptions): Promise<Subscriber> {
    const subscriber = new Subscriber(
      this.#start(['stdbuf', '-oL', ...this.#subscription(clientId, options)])
    )
    await subscriber.says(/^Subscribed /m)
    return subscriber
  }

  /** Subscribes and leaves as soon as the server has confirmed; gives what the tool says about its packets. */
  async subscribeAndLeave(clientId: string, options: SubOptions): Promise<string> {
    const program = this.#start([...this.#subscription(clientId, options), '-E'])
    await ended(program)
    return program.stdout
  }

  /** Kills what still runs. */
  async close(): Promise<void> {
    for (const program of this.#running) if (!program.exit) await program.kill()
  }

  #subscription(clientId: string, { filters, qos = 2, args = [], fields = [] }: SubOptions): string[] {
    const format = [MARK, ...FIELDS, ...fields].join(BORDER)
    const topics = filters.flatMap(filter => ['-t', filter])
    const tool = ['mosquitto_sub', '-d', ...this.#common, '-i', clientId, '-q', String(qos)]
    return [...tool, '-F', format, ...topics, ...args]
  }

  #start([command, ...args]: readonly string[]): Program {
    const program = new Program(command!, args)
    this.#running.add(program)
    return program
  }
}

function one(tool: readonly string[], payload: string): string[] {
  return [...tool, ...(payload === '' ? ['-n'] : ['-m', payload])]
}

/** The shell gives the tool a line for each payload. */
function many(tool: readonly string[], payloads: readonly string[]): string[] {
  return ['sh', '-c', 'printf "%s\\n" "$1" | { shift; "$@"; }', 'sh', payloads.join('\n'), ...tool, '-l']
}

async function ended(program: Program): Promise<void> {
  const { code } = await program.exited()
  if (code !== 0) throw new Error(program.story())
}

/** A running `mosquitto_sub`. */
export class Subscriber {
  readonly #program: Program
  #taken = 0

  constructor(program: Program) {
    this.#program = program
  }

  /** Waits until the tool says something about its packets. */
  async says(what: RegExp): Promise<void> {
    await this.#until(() => what.test(this.#program.stdout), String(what))
  }

  /** The next messages. */
  async take(count: number): Promise<Message[]> {
    const from = this.#taken
    this.#taken += count
    const next = () => this.#messages().slice(from, from + count)
    await this.#until(() => next().length === count, `${count} more messages`)
    return next().map(messageOf)
  }

  /** What arrives before the message with this payload, which is taken as well. */
  async before(marker: string): Promise<Message[]> {
    const messages: Message[] = []
    for (;;) {
      const [message] = await this.take(1)
      if (message?.payload === marker) return messages
      messages.push(message!)
    }
  }

  /** Kills the tool: the connection ends without a DISCONNECT. Ctrl-C is no way, it may hang in what it prints. */
  async cut(): Promise<void> {
    await this.#program.kill('SIGKILL')
  }

  /** Waits for something; there is no more of it once the tool has ended. */
  async #until(condition: () => boolean, what: string): Promise<void> {
    const look = () => {
      if (condition()) return true
      if (this.#program.exit) throw new Error(`no ${what}: ${this.#program.story()}`)
      return undefined
    }
    await this.#program.until(look, undefined, what)
  }

  #messages(): string[] {
    const lines = this.#program.stdout.split('\n').slice(0, -1)
    return lines.filter(line => line.startsWith(`${MARK}${BORDER}`))
  }
}

function messageOf(line: string): Message {
  const [, qos, retain, topic = '', payload = '', ...more] = line.split(BORDER)
  return { qos: Number(qos), retain: retain === '1', topic, payload, more }
}

/** The payloads of messages. */
export function payloadsOf(messages: readonly Message[]): string[] {
  return messages.map(message => message.payload)
}
