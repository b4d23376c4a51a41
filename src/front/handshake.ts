import { type AedesClient, assertClientTopic } from '../broker/broker.ts'
import { QueueError } from '../errors.ts'
import { assertTopic } from '../topic.ts'
import { malformed, type PacketCursor, protocolError } from '../wire/cursor.ts'
import { Framer, type PacketSink } from '../wire/framer.ts'
import { connack, TYPE } from '../wire/packets.ts'
import { CARRIER, walkProperties } from '../wire/properties.ts'
import { type ConnectRequest, connackProperties, readConnect } from './connect.ts'
import type { Connection } from './connection.ts'
import type { FrontContext } from './context.ts'
import { Inner, type InnerListener } from './inner.ts'

const UNACCEPTABLE_PROTOCOL = 1
const IDENTIFIER_REJECTED_311 = 2
const SERVER_UNAVAILABLE_311 = 3
const NOT_AUTHORIZED_311 = 5
const SERVER_UNAVAILABLE = 0x88
const DISCONNECT_WITH_WILL = 0x04

/**
 * The dealings of one connection with Aedes: CONNECT goes there rewritten, its CONNACK comes back and is completed
 * with what is ours, the session is opened in between.
 */
export class Handshake implements InnerListener, PacketSink {
  readonly #connection: Connection
  readonly #context: FrontContext
  readonly #inner: Inner
  readonly #fromAedes = new Framer(this)
  /** What Aedes sent between its CONNACK and ours. */
  #early: Buffer[] = []
  #isOver = false
  #hasDisconnected = false
  readonly client: AedesClient
  request: ConnectRequest | null = null
  clientId = ''
  clientIdBytes = Buffer.alloc(0)
  // what Aedes writes is never held and has no limit
  readonly isHeld = false
  readonly maxPacketBytes = Number.POSITIVE_INFINITY

  constructor(connection: Connection, context: FrontContext) {
    this.#connection = connection
    this.#context = context
    this.#inner = new Inner(this, connection.remoteAddress, connection.remotePort)
    this.client = context.broker.handle(this.#inner, connection.request)
  }

  /** A packet of a client that is not let in yet. */
  fromClient(type: number, bytes: Buffer, body: number, end: number): void {
    if (type !== TYPE.connect) throw notConnect()
    try {
      this.request = readConnect(bytes, body, end)
    } catch (error) {
      // what version of MQTT the client would understand is not known: 3.1.1 says it in a way all can read
      if (error instanceof QueueError && error.code === 'QUEUE_PROTOCOL_UNSUPPORTED') {
        const isNewer = Number(error.detail.level) > 5
        this.#refuse(isNewer ? error.reasonCode : UNACCEPTABLE_PROTOCOL, isNewer)
      }
      throw error
    }
    if (this.#isNameless(this.request) || this.#hasForbiddenWill(this.request)) return
    this.clientId = this.request.clientId
    this.#connection.hold('connect')
    this.#inner.push(this.request.packet)
  }

  /** DISCONNECT of the client. @see MQTT 5.0 section 3.14 */
  disconnect(cursor: PacketCursor): void {
    const reasonCode = this.#connection.isV5 && !cursor.isAtEnd ? cursor.byte() : 0
    if (!cursor.isAtEnd) walkProperties(cursor.properties(), CARRIER.disconnect, () => {})
    if (!cursor.isAtEnd) throw malformed('DISCONNECT has bytes behind its last field')
    // Aedes drops the will at a DISCONNECT, and sends it when a connection just ends
    this.#hasDisconnected = reasonCode !== DISCONNECT_WITH_WILL
    this.#connection.close()
  }

  /** The connection is over. */
  over(error: Error | null): void {
    if (this.#isOver) return
    this.#isOver = true
    if (!this.#hasDisconnected) {
      this.#inner.destroy(error ?? undefined)
      return
    }
    this.#inner.push(Buffer.from([0xe0, 0]))
    this.#inner.push(null)
  }

  fromAedes(bytes: Buffer): void {
    if (!this.#isOver) this.#connection.guard(() => this.#fromAedes.push(bytes))
  }

  aedesClosed(): void {
    if (!this.#isOver) this.#connection.close()
  }

  /** A packet that Aedes wrote. */
  packet(header: number, bytes: Buffer, start: number, body: number, end: number): void {
    const type = header >> 4
    if (type === TYPE.connack) this.#connack(bytes, start, body, end)
    else if (type === TYPE.publish && (header & 6) === 0) {
      const publish = Buffer.from(bytes.subarray(start, end))
      if (this.#connection.session) this.#connection.send(publish)
      else this.#early.push(publish)
    } else if (type === TYPE.disconnect) {
      // Aedes closes its side in a later turn; until then another reason may come up
      this.#connection.endWith(Buffer.from(bytes.subarray(start, end)))
    }
  }

  #connack(bytes: Buffer, start: number, body: number, end: number): void {
    const request = this.request
    if (bytes[body + 1] !== 0 || !request) {
      this.#connection.send(Buffer.from(bytes.subarray(start, end)))
      return
    }
    const isV5 = request.protocolVersion === 5
    // Aedes has made an id up when the client brought none
    this.clientId = this.client.id
    this.clientIdBytes = Buffer.from(this.clientId)
    const fromAedes = isV5 ? Buffer.from(bytes.subarray(body + 3, end)) : Buffer.alloc(0)
    const { isCleanStart, expirySeconds } = request
    const { sessions } = this.#context
    sessions
      .open({ clientId: this.clientId, isCleanStart, expirySeconds }, (session, isPresent) => {
        // gone meanwhile: a session that nothing keeps must not stay
        if (this.#connection.isClosed) return sessions.detach(session)
        const { maxPacketBytes } = this.#context.limits
        const properties = isV5 ? connackProperties(fromAedes, maxPacketBytes) : null
        this.#connection.send(connack(isPresent && !isCleanStart, 0, properties))
        this.#connection.open(session)
        for (const publish of this.#early.splice(0)) this.#connection.send(publish)
        this.#connection.release('connect')
      })
      .catch((error: unknown) => this.#unavailable(error))
  }

  /** The session could not be stored. */
  #unavailable(error: unknown): void {
    if (this.#connection.isClosed) return
    const isV5 = this.request?.protocolVersion === 5
    const code = error instanceof QueueError ? error.reasonCode : SERVER_UNAVAILABLE
    this.#refuse(isV5 ? code : SERVER_UNAVAILABLE_311, isV5)
    this.#connection.fail(error)
  }

  /** A session that is kept needs a client id to be found by. [MQTT-3.1.3-8] of 3.1.1 */
  #isNameless({ protocolVersion, clientId, isCleanStart }: ConnectRequest): boolean {
    if (protocolVersion === 5 || clientId !== '' || isCleanStart) return false
    this.#refuse(IDENTIFIER_REJECTED_311, false)
    this.#connection.fail(protocolError('a session that is to be kept needs a client id'))
    return true
  }

  /** A will that could not be sent, or that we could not keep, is refused at once. */
  #hasForbiddenWill(request: ConnectRequest): boolean {
    const error = this.#willProblem(request)
    if (!error) return false
    const isV5 = request.protocolVersion === 5
    if (isV5 || error.code === 'QUEUE_NOT_AUTHORIZED') {
      this.#refuse(isV5 ? error.reasonCode : NOT_AUTHORIZED_311, isV5)
    }
    this.#connection.fail(error)
    return true
  }

  #willProblem({ protocolVersion, willTopic, willQos, isWillRetained }: ConnectRequest): QueueError | null {
    if (willTopic === null) return null
    try {
      assertTopic(willTopic, this.#context.router.maxTopicLevels)
      assertClientTopic(willTopic)
    } catch (error) {
      return error as QueueError
    }
    // [MQTT-3.2.2-12], [MQTT-3.2.2-13] CONNACK says that there is neither
    if (protocolVersion === 5 && isWillRetained) return new QueueError('QUEUE_RETAIN_UNSUPPORTED')
    if (protocolVersion === 5 && willQos > 1) return new QueueError('QUEUE_QOS_UNSUPPORTED')
    return null
  }

  #refuse(code: number, isV5: boolean): void {
    this.#connection.send(connack(false, code, isV5 ? [] : null))
  }
}

/** [MQTT-3.1.0-1] */
export function notConnect(): QueueError {
  return protocolError('the first packet is not CONNECT')
}
