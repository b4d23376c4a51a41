import { connect, createServer, type Socket } from 'node:net'
import type { ExecutionContext } from 'ava'
import mqttPacket, { type Packet } from 'mqtt-packet'
import { Signal } from './signal.ts'

/** A packet that passed, with the number of its connection, from 1. */
export type TappedPacket = Packet & { readonly connection: number }

/** A way to a server on which everything is seen, and that can be cut. */
export class Tap {
  port = 0
  /** Packets of the client. */
  readonly sent: TappedPacket[] = []
  /** Packets of the server. */
  readonly received: TappedPacket[] = []
  connections = 0
  readonly #signal = new Signal()
  readonly #sockets = new Set<Socket>()
  #targetPort: number

  constructor(t: ExecutionContext, targetPort: number) {
    this.#targetPort = targetPort
    t.teardown(() => this.cut())
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`
  }

  /** Connections from now on go to this port. */
  aim(targetPort: number): void {
    this.#targetPort = targetPort
  }

  /** Cuts all connections without a word. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** What the client has sent of this kind. */
  sentOf<C extends Packet['cmd']>(cmd: C): (TappedPacket & { cmd: C })[] {
    return this.sent.filter((packet): packet is TappedPacket & { cmd: C } => packet.cmd === cmd)
  }

  /** What the server has sent of this kind. */
  receivedOf<C extends Packet['cmd']>(cmd: C): (TappedPacket & { cmd: C })[] {
    return this.received.filter((packet): packet is TappedPacket & { cmd: C } => packet.cmd === cmd)
  }

  /** Resolves when the condition holds; it is asked again at every packet. */
  async until(condition: () => boolean, what = 'a condition'): Promise<void> {
    const last = (packets: readonly Packet[]) => packets.slice(-12).map(({ cmd }) => cmd)
    const describe = () => `${what}; sent ${last(this.sent)}, received ${last(this.received)}`
    await this.#signal.until(condition, { describe })
  }

  /** Passes a connection on. */
  accept(client: Socket): void {
    this.connections += 1
    const server = connect(this.#targetPort, '127.0.0.1')
    this.#join(client, server, this.sent, this.connections)
    this.#join(server, client, this.received, this.connections)
  }

  #join(from: Socket, to: Socket, packets: TappedPacket[], connection: number): void {
    const parser = mqttPacket.parser(this.#format(connection))
    parser.on('packet', packet => {
      if (packet.cmd === 'connect')
        this.#formats.get(connection)!.protocolVersion = packet.protocolVersion ?? 4
      packets.push(Object.assign(packet, { connection }))
      this.#signal.notify()
    })
    this.#sockets.add(from)
    from.on('data', bytes => {
      parser.parse(bytes)
      to.write(bytes)
    })
    from.on('error', () => {}) // a close follows
    from.on('end', () => to.end())
    from.on('close', () => {
      this.#sockets.delete(from)
      to.destroy()
      this.#signal.notify()
    })
  }

  readonly #formats = new Map<number, { protocolVersion?: number }>()

  #format(connection: number): { protocolVersion?: number } {
    const format = this.#formats.get(connection) ?? {}
    this.#formats.set(connection, format)
    return format
  }
}

/** Listens on a port of this machine and passes everything on to another. */
export async function startTap(t: ExecutionContext, targetPort: number): Promise<Tap> {
  const tap = new Tap(t, targetPort)
  const server = createServer({ allowHalfOpen: true, noDelay: true }, socket => tap.accept(socket))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  tap.port = (server.address() as { port: number }).port
  t.teardown(() => server.close())
  return tap
}
