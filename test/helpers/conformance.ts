import type { ExecutionContext } from 'ava'
import { ByteClient, type Bytes } from './conformance-bytes.ts'
import { turns } from './conformance-core.ts'
import type { TestCore } from './core.ts'
import { startCore } from './core.ts'
import type { ModelStore } from './model-store.ts'
import type { RawClient, RawConnect } from './raw-client.ts'

/** How long a server that should end a connection may take. */
const END_MS = 2_000

/** Reason codes of MQTT 5 that tests name. */
export const CODE = {
  malformed: 0x81,
  protocolError: 0x82,
  topicInvalid: 0x90,
  receiveMaximum: 0x93,
  aliasInvalid: 0x94
} as const

/** The two versions with numbered statements, as tests name them. */
export const VERSIONS = [
  { protocolVersion: 4, name: '3.1.1' },
  { protocolVersion: 5, name: '5' }
] as const

/** What a client that was let in must not send, and how its connection ends. */
export interface Refusal {
  readonly title: string
  /** For 3.1.1, when it can be sent there: its connection just ends. */
  readonly four?: Bytes
  /** For MQTT 5, when it can be sent there. */
  readonly five?: Bytes
  /** The reason code of the DISCONNECT that MQTT 5 is told first; several where the specification leaves a choice. */
  readonly code: number | readonly number[]
  /** Further properties of the clients that send it. */
  readonly client?: RawConnect
}

/** The same bytes for both versions. */
export function both(title: string, code: Refusal['code'], bytes: Bytes): Refusal {
  return { title, code, four: bytes, five: bytes }
}

/** Bytes for MQTT 5. */
export function only5(title: string, code: Refusal['code'], bytes: Bytes): Refusal {
  return { title, code, five: bytes }
}

/** Asserts that each version's connection ends as it should. */
export async function assertRefused(t: ExecutionContext, refusal: Refusal): Promise<void> {
  const core = await startCore(t)
  for (const { protocolVersion, name } of VERSIONS) {
    const bytes = protocolVersion === 4 ? refusal.four : refusal.five
    if (!bytes) continue
    const client = await core.connect({ clientId: 'hostile', ...refusal.client, protocolVersion })
    client.sendBytes(Buffer.from(bytes))
    await assertEnded(t, client, protocolVersion === 4 ? null : refusal.code, `MQTT ${name}`)
  }
}

/** Asserts that the server ends a connection, for MQTT 5 with one of these reason codes, for 3.1.1 (null) without a word. */
export async function assertEnded(
  t: ExecutionContext,
  client: RawClient,
  code: Refusal['code'] | null,
  what = ''
): Promise<void> {
  await client.closed(END_MS).catch(() => {})
  if (!client.isClosed) {
    t.fail(`${what}: the connection is still open; received ${client.received.map(({ cmd }) => cmd)}`)
    client.destroy()
    return
  }
  const last = client.received.at(-1)
  if (code === null) {
    t.not(last?.cmd, 'disconnect', what)
    return
  }
  const found = last?.cmd === 'disconnect' ? (last.reasonCode ?? 0) : null
  const wanted = typeof code === 'number' ? [code] : code
  t.true(
    found !== null && wanted.includes(found),
    `${what}: DISCONNECT ${hex(found)}, not ${wanted.map(hex).join(' or ')}`
  )
}

/** What may not come first, and the CONNACK that answers it. */
export interface FirstRefusal {
  readonly title: string
  readonly bytes: Bytes
  /** Its code; several where the specification leaves a choice; null: no CONNACK at all. */
  readonly code: number | null | readonly (number | null)[]
}

/** Asserts that what comes first is answered as it should be, and that the connection is closed. */
export async function assertFirstRefused(t: ExecutionContext, { bytes, code }: FirstRefusal): Promise<void> {
  const client = ByteClient.open(await startCore(t), bytes)
  await client.closed(END_MS).catch(() => client.destroy())
  const wanted = typeof code === 'number' || code === null ? [code] : code
  const [first, ...more] = client.packets
  const found = first ? first.body[1]! : null
  t.true(client.isClosed, 'it is closed')
  t.deepEqual(more, [], 'nothing follows CONNACK')
  if (first) t.is(first.header, 0x20, 'what answers is CONNACK')
  if (first) t.is(first.body[0], 0, 'Session Present is 0') // [MQTT-3.2.2-4] of 3.1.1, [MQTT-3.2.2-6] of 5
  t.true(wanted.includes(found), `CONNACK ${hex(found)}, not ${wanted.map(hex).join(' or ')}`)
}

/** A persistent client of either version: kept after its connection. */
export function kept(protocolVersion: 4 | 5, clientId = 'kept'): RawConnect {
  return {
    clientId,
    protocolVersion,
    clean: false,
    ...(protocolVersion === 5 ? { expirySeconds: 3_600 } : {})
  }
}

/** Connects a client and lets it subscribe. */
export async function subscriber(
  { connect }: TestCore<ModelStore>,
  filters: string | readonly string[],
  options: RawConnect & { readonly qos?: 0 | 1 | 2 } = {}
): Promise<RawClient> {
  const client = await connect(options)
  await client.subscribe(filters, options.qos ?? 1)
  return client
}

/** The messages that came and were not taken, after all that was begun had its time. */
export async function arrived(client: RawClient): Promise<string[]> {
  await turns(20)
  await client.ping()
  return client.unreadMessages().map(({ payload }) => payload.toString())
}

function hex(code: number | null): string {
  return code === null ? 'none' : `0x${code.toString(16)}`
}
