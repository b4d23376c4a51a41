import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'
import type { Customer } from '../../examples/shared/customer.ts'
import { type Program, startProgram } from './process.ts'
import { RawClient } from './raw-client.ts'

/** The compiled program of an example. */
export function exampleMain(name: string): string {
  return fileURLToPath(new URL(`../../examples/${name}/main.js`, import.meta.url))
}

/** Starts an example with these arguments. */
export function startExample(
  t: ExecutionContext,
  name: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {}
): Program {
  return startProgram(t, process.execPath, [exampleMain(name), ...args], env)
}

/** Runs an example to its end. */
export async function runExample(
  t: ExecutionContext,
  name: string,
  args: readonly string[]
): Promise<Program> {
  const program = startExample(t, name, args)
  await program.exited()
  return program
}

/** Waits until the program has said that it is connected. */
export async function untilConnected(program: Program): Promise<void> {
  await program.until(() => / connected to /.test(program.stdout), undefined, 'the connection')
}

/** A customer with this number. */
export function customerOf(number: number): Customer {
  return {
    id: randomUUID(),
    number,
    name: `Customer ${number}`,
    email: `customer-${number}@example.org`,
    createdBy: number % 2 === 0 ? 'ann' : 'bob.miller',
    createdAt: new Date(Date.UTC(2026, 0, 1 + (number % 3), 12)).toISOString()
  }
}

/**
 * Publishes customers one after another, as the API server does; a server that is killed meanwhile is waited
 * for.
 */
export class CustomerSource {
  readonly created: Customer[] = []
  #port: number

  constructor(port: number) {
    this.#port = port
  }

  /** The server has another port now. */
  move(port: number): void {
    this.#port = port
  }

  /** Publishes so many further customers; each is published until the server has acked it. */
  async create(count: number): Promise<void> {
    let client: RawClient | undefined
    for (let n = 0; n < count; n++) {
      const customer = customerOf(this.created.length + 1)
      for (let isStored = false; !isStored; ) {
        try {
          client ??= await RawClient.connect(this.#port, { clientId: 'source' })
          await client.publish({ topic: 'DB/CREATE', payload: JSON.stringify(customer), qos: 1 })
          isStored = true
        } catch {
          client = undefined // it goes out again: an event may well come twice
          await new Promise(resolve => setTimeout(resolve, 20))
        }
      }
      this.created.push(customer)
    }
    await client?.disconnect()
  }
}
