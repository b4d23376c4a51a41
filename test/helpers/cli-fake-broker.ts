import { createServer, type Socket } from 'node:net'
import type { ExecutionContext } from 'ava'
import mqttPacket, {
  type IConnectPacket,
  type IPublishPacket,
  type ISubscribePacket,
  type Packet
} from 'mqtt-packet'

/** What a pretended broker answers with; without an answer it accepts everything. */
export interface FakeAnswers {
  readonly connect?: Answer
  readonly publish?: Answer
  readonly subscribe?: Answer
  /** Sent after each SUBACK, with packet ids from 1 on. */
  readonly messages?: readonly { topic: string; payload: string | Buffer }[]
}

/** A reason code (of the ack, or of a DISCONNECT), a closed connection, or nothing at all. */
export type Answer =
  | { readonly reasonCode: number; readonly reasonString?: string }
  | { readonly disconnect: number }
  | 'close'
  | 'silence'

/** A broker that answers as told, and remembers what it was sent. */
export interface FakeBroker {
  readonly url: string
  readonly received: Packet[]
  /** Resolves once it has received such a packet, on any connection. */
  receives(cmd: Packet['cmd'], count?: number): Promise<void>
  /** Closes every connection. */
  drop(): void
}

/** Starts one; it is stopped at the end of the test. */
export async function startFakeBroker(t: ExecutionContext, answers: FakeAnswers = {}): Promise<FakeBroker> {
  const received: Packet[] = []
  const sockets = new Set<Socket>()
  const waiting = new Set<() => void>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => {})
    const connection = new FakeConnection(socket, answers)
    const parser = mqttPacket.parser()
    parser.on('packet', packet => {
      received.push(packet)
      connection.answer(packet)
      for (const look of waiting) look()
    })
    socket.on('data', bytes => parser.parse(bytes))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const drop = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  t.teardown(() => {
    drop()
    server.close()
  })
  const receives = (cmd: Packet['cmd'], count = 1): Promise<void> =>
    new Promise(resolve => {
      const look = (): void => {
        if (received.filter(packet => packet.cmd === cmd).length >= count) resolve()
      }
      waiting.add(look)
      look()
    })
  const { port } = server.address() as { port: number }
  return { url: `mqtt://127.0.0.1:${port}`, received, receives, drop }
}

class FakeConnection {
  readonly #socket: Socket
  readonly #answers: FakeAnswers
  #protocolVersion = 4

  constructor(socket: Socket, answers: FakeAnswers) {
    this.#socket = socket
    this.#answers = answers
  }

  answer(packet: Packet): void {
    if (packet.cmd === 'connect') this.#connect(packet)
    else if (packet.cmd === 'publish') this.#publish(packet)
    else if (packet.cmd === 'subscribe') this.#subscribe(packet)
  }

  #connect({ protocolVersion }: IConnectPacket): void {
    this.#protocolVersion = protocolVersion ?? 4
    this.#reply(this.#answers.connect, (reasonCode, properties) =>
      this.#send({
        cmd: 'connack',
        sessionPresent: false,
        reasonCode,
        returnCode: reasonCode,
        properties
      } as Packet)
    )
  }

  #publish({ messageId, qos }: IPublishPacket): void {
    if (qos === 0) return
    this.#reply(this.#answers.publish, (reasonCode, properties) =>
      this.#send({ cmd: 'puback', messageId, reasonCode, properties } as Packet)
    )
  }

  #subscribe({ messageId, subscriptions }: ISubscribePacket): void {
    this.#reply(this.#answers.subscribe, reasonCode => {
      const granted = subscriptions.map(({ qos }) => (reasonCode === 0 ? qos : reasonCode))
      this.#send({ cmd: 'suback', messageId, granted } as Packet)
      for (const [index, message] of (this.#answers.messages ?? []).entries()) {
        this.#send({ cmd: 'publish', ...message, qos: 1, dup: false, retain: false, messageId: index + 1 })
      }
    })
  }

  #reply(answer: Answer | undefined, send: (reasonCode: number, properties: object) => void): void {
    if (answer === 'silence') return
    if (answer === 'close') this.#socket.destroy()
    else if (answer === undefined) send(0, {})
    else if ('disconnect' in answer) {
      this.#send({ cmd: 'disconnect', reasonCode: answer.disconnect } as Packet)
      this.#socket.end()
    } else {
      const { reasonCode, reasonString } = answer
      send(reasonCode, reasonString === undefined ? {} : { reasonString })
    }
  }

  #send(packet: Packet): void {
    this.#socket.write(mqttPacket.generate(packet, { protocolVersion: this.#protocolVersion }))
  }
}
