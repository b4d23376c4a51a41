import type { RawClient } from './raw-client.ts'

/** Cuts a connection without a word, and lets the server take notice. */
export async function cut(client: RawClient): Promise<void> {
  client.destroy()
  await client.closed()
  await turns(3)
}

/** Lets the event loop turn: what was begun goes on. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise(resolve => setImmediate(resolve))
}
