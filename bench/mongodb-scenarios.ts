import { publishTemplate, RawClient } from './raw-client.ts'

const TOPIC = 'DB/CREATE'
const PAYLOAD_BYTES = 250
/** Sessions that are made at the same time. */
const AT_ONCE = 16
/** When nothing has come for so long, no more will. */
const IDLE_MS = 5_000

/** Persistent sessions that are away, all on one filter. */
export async function leaveSessions(port: number, count: number): Promise<void> {
  for (let first = 0; first < count; first += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - first) }, async (_, i) => {
      const client = await RawClient.connect(port, `away-${first + i}`, false)
      await client.subscribe(TOPIC, 1)
      await client.end()
    })
    await Promise.all(some)
  }
}

/** What publishing found. */
export interface PublishFigure {
  /** Messages acked a second, over all connections. */
  readonly rate: number
  /** Milliseconds from publish to ack, median. */
  readonly ackMs: number
}

/** Publishes `total` messages with a window over each of `publishers` connections, in turn on each of the ports. */
export async function publishAll(
  ports: readonly number[],
  { publishers, window, total }: { publishers: number; window: number; total: number }
): Promise<PublishFigure> {
  const clients = await Promise.all(
    Array.from({ length: publishers }, (_, i) =>
      RawClient.connect(ports[i % ports.length]!, `publisher-${i}`, true)
    )
  )
  const share = Math.floor(total / publishers)
  const times: number[] = []
  const startedMs = performance.now()
  await Promise.all(clients.map(client => publishShare(client, share, window, times)))
  const seconds = (performance.now() - startedMs) / 1000
  await Promise.all(clients.map(client => client.end()))
  times.sort((a, b) => a - b)
  return { rate: (share * publishers) / seconds, ackMs: times[times.length >> 1] ?? Number.NaN }
}

/** The payload begins with the number of the message on its connection. */
function publishShare(client: RawClient, share: number, window: number, times: number[]): Promise<void> {
  const template = publishTemplate(TOPIC, Buffer.alloc(PAYLOAD_BYTES, 120))
  const sentMs = new Float64Array(65_536)
  let sent = 0
  let acked = 0
  const send = (): void => {
    const bytes = Buffer.from(template.bytes)
    const id = (sent % 65_535) + 1
    bytes.writeUInt16BE(id, template.idAt)
    bytes.writeUInt32BE(sent++, template.idAt + 2)
    sentMs[id] = performance.now()
    client.write(bytes)
  }
  return new Promise(resolve => {
    client.onPacket = (type, bytes, body) => {
      if (type !== 4) return
      times.push(performance.now() - sentMs[bytes.readUInt16BE(body)]!)
      if (++acked === share) resolve()
      else if (sent < share) send()
    }
    while (sent < Math.min(window, share)) send()
  })
}

/** What came to a session. */
export interface DrainFigure {
  readonly received: number
  /** From the session's CONNECT to the last message. */
  readonly ms: number
  /** Messages that came after a later one of the same publisher. */
  readonly inversions: number
}

/** A session comes back, reads and acks until `total` messages are there, or nothing more comes. */
export async function drain(port: number, clientId: string, total: number): Promise<DrainFigure> {
  let received = 0
  let inversions = 0
  let highest = -1
  const startedMs = performance.now()
  let lastMs = startedMs
  let finish = () => {}
  const finished = new Promise<void>(resolve => {
    finish = resolve
  })
  let isConnected: (client: RawClient) => void = () => {}
  const connected = new Promise<RawClient>(resolve => {
    isConnected = resolve
  })
  const client = await RawClient.connect(port, clientId, false, (type, bytes, body) => {
    if (type !== 3) return
    const idAt = body + 2 + bytes.readUInt16BE(body)
    const number = bytes.readUInt32BE(idAt + 2)
    const packetId = bytes.readUInt16BE(idAt)
    if (number < highest) inversions++
    highest = Math.max(highest, number)
    lastMs = performance.now()
    void connected.then(ready => ready.write(Buffer.from([0x40, 2, packetId >> 8, packetId & 255])))
    if (++received === total) finish()
  })
  isConnected(client)
  await Promise.race([finished, untilIdle(() => lastMs)])
  await client.end()
  return { received, ms: lastMs - startedMs, inversions }
}

/** What went to sessions that are connected. */
export interface LiveFigure {
  /** Deliveries a second. */
  readonly rate: number
  readonly received: number
}

/** Sessions that are connected get all that one publisher sends, until there is no more, or nothing more comes. */
export async function live(port: number, subscribers: number, total: number): Promise<LiveFigure> {
  let received = 0
  let lastMs = performance.now()
  let finish = () => {}
  const finished = new Promise<void>(resolve => {
    finish = resolve
  })
  const clients = await Promise.all(
    Array.from({ length: subscribers }, async (_, i) => {
      const client = await RawClient.connect(port, `live-${i}`, false)
      await client.subscribe(TOPIC, 1)
      client.onPacket = (type, bytes, body) => {
        if (type !== 3) return
        const packetId = bytes.readUInt16BE(body + 2 + bytes.readUInt16BE(body))
        client.write(Buffer.from([0x40, 2, packetId >> 8, packetId & 255]))
        lastMs = performance.now()
        if (++received === total * subscribers) finish()
      }
      return client
    })
  )
  const startedMs = performance.now()
  await publishAll([port], { publishers: 1, window: 100, total })
  await Promise.race([finished, untilIdle(() => lastMs)])
  await Promise.all(clients.map(client => client.end()))
  return { rate: (1000 * received) / (lastMs - startedMs), received }
}

/** Resolves when nothing has come for a while. */
async function untilIdle(lastMs: () => number): Promise<void> {
  while (performance.now() - lastMs() < IDLE_MS)
    await new Promise(resolve => setTimeout(resolve, IDLE_MS / 20))
}

/** One message after the other from a publisher to a subscriber. @returns milliseconds from publish to arrival, sorted. */
export async function latencies(from: number, to: number, total: number): Promise<number[]> {
  const subscriber = await RawClient.connect(to, 'listener', false)
  await subscriber.subscribe(TOPIC, 1)
  const publisher = await RawClient.connect(from, 'speaker', true)
  const template = publishTemplate(TOPIC, Buffer.alloc(PAYLOAD_BYTES, 120))
  const times: number[] = []
  for (let i = 0; i < total; i++) {
    const arrived = new Promise<void>(resolve => {
      subscriber.onPacket = (type, bytes, body) => {
        if (type !== 3) return
        const packetId = bytes.readUInt16BE(body + 2 + bytes.readUInt16BE(body))
        subscriber.write(Buffer.from([0x40, 2, packetId >> 8, packetId & 255]))
        resolve()
      }
    })
    template.bytes.writeUInt16BE((i % 65_535) + 1, template.idAt)
    const startedMs = performance.now()
    publisher.write(Buffer.from(template.bytes))
    await arrived
    times.push(performance.now() - startedMs)
  }
  await Promise.all([publisher.end(), subscriber.end()])
  return times.sort((a, b) => a - b)
}
