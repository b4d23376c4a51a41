import { publishTemplate, RawClient } from './raw-client.ts'

const TOPIC = 'DB/CREATE'
const PAYLOAD = Buffer.from(JSON.stringify({ id: 1, name: 'customer', note: 'x'.repeat(218) }))

/** What one run of a scenario found. */
export interface Figure {
  /** Messages a second. */
  readonly rate: number
  /** Milliseconds from publish to ack, median; null where it is not measured. */
  readonly ackMs: number | null
  /** Messages that came; must be as many as were expected. */
  readonly received: number
}

/** A persistent session that is away. */
async function leaveSession(port: number, clientId: string): Promise<void> {
  const client = await RawClient.connect(port, clientId, false)
  await client.subscribe(TOPIC, 1)
  await client.end()
}

/** Publishes `total` messages with a window over each of `publishers` connections; resolves with the ack times. */
async function publish(port: number, publishers: number, window: number, total: number): Promise<number[]> {
  const template = publishTemplate(TOPIC, PAYLOAD)
  const times: number[] = []
  const one = async (index: number) => {
    const client = await RawClient.connect(port, `publisher-${index}`, true)
    const share = Math.floor(total / publishers)
    const sentAt = new Float64Array(65_536)
    let sent = 0
    let acked = 0
    const batch = (count: number) => {
      const bytes = Buffer.allocUnsafe(template.bytes.length * count)
      for (let i = 0; i < count; i++) {
        const at = i * template.bytes.length
        const id = (sent++ % 65_535) + 1
        template.bytes.copy(bytes, at)
        bytes.writeUInt16BE(id, at + template.idAt)
        sentAt[id] = performance.now()
      }
      client.write(bytes)
    }
    await new Promise<void>(resolve => {
      let freed = 0
      client.onPacket = (type, bytes, body) => {
        if (type !== 4) return
        acked++
        freed++
        if (acked % 16 === 0) times.push(performance.now() - sentAt[bytes.readUInt16BE(body)]!)
        if (acked === share) resolve()
        if (freed === 1) {
          // what a window frees is sent together, once the acks of this read are counted
          setImmediate(() => {
            const count = Math.min(freed, share - sent)
            freed = 0
            if (count > 0) batch(count)
          })
        }
      }
      batch(Math.min(window, share))
    })
    await client.end()
  }
  await Promise.all(Array.from({ length: publishers }, (_, index) => one(index)))
  return times
}

/** Publish with one session away: 8 publishers, 100 unacked each. */
export async function publishOffline(port: number, total: number): Promise<Figure> {
  await leaveSession(port, 'away')
  const start = performance.now()
  const times = await publish(port, 8, 100, total)
  const seconds = (performance.now() - start) / 1000
  times.sort((a, b) => a - b)
  return { rate: total / seconds, ackMs: times[times.length >> 1] ?? null, received: total }
}

/** A session comes back to `total` messages and acks each. */
export async function catchUp(port: number, total: number): Promise<Figure> {
  await leaveSession(port, 'away')
  await publish(port, 8, 100, total)
  const client = await RawClient.connect(port, 'away-not', true)
  await client.end()
  const start = performance.now()
  const received = await drain(port, total)
  return { rate: received / ((performance.now() - start) / 1000), ackMs: null, received }
}

/** Reads and acks until `total` messages are there, or nothing has come for five seconds. */
async function drain(port: number, total: number): Promise<number> {
  let received = 0
  let acks: number[] = []
  let lastAt = performance.now()
  let finish = () => {}
  const finished = new Promise<void>(resolve => {
    finish = resolve
  })
  const flush = () => {
    const out = Buffer.allocUnsafe(acks.length * 4)
    for (const [i, id] of acks.entries()) {
      out.writeUInt16BE(0x4002, i * 4)
      out.writeUInt16BE(id, i * 4 + 2)
    }
    acks = []
    client.write(out)
    lastAt = performance.now()
    if (received >= total) finish()
  }
  const client = await RawClient.connect(port, 'away', false, (type, bytes, body) => {
    if (type !== 3) return
    received++
    acks.push(bytes.readUInt16BE(body + 2 + bytes.readUInt16BE(body)))
    // what one read brought is acked together
    if (acks.length === 1) setImmediate(flush)
  })
  const idle = setInterval(() => {
    if (performance.now() - lastAt > 5_000) finish()
  }, 500)
  await finished
  clearInterval(idle)
  await client.end()
  return received
}
