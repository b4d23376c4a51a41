import type { Duplex } from 'node:stream'
import { type AedesClient, assertClientTopic } from '../broker/broker.ts'
import type { Opening } from '../delivery/sessions.ts'
import { QueueError } from '../errors.ts'
import { assertTopic } from '../topic.ts'
import { protocolError } from '../wire/cursor.ts'
import { Framer, type PacketSink } from '../wire/framer.ts'
import { connack, TYPE } from '../wire/packets.ts'
import { connackProperties, type Granted, grant } from './connack.ts'
import { type ConnectRequest, readConnect } from './connect.ts'
import type { Connection } from './connection.ts'
import type { FrontContext } from './context.ts'
import { Inner, type InnerListener } from './inner.ts'
import { addressOf } from './peer.ts'
import { reauthorize } from './restore.ts'

const UNACCEPTABLE_PROTOCOL = 1
const IDENTIFIER_REJECTED_311 = 2
const SERVER_UNAVAILABLE_311 = 3
const NOT_AUTHORIZED_311 = 5
const NOT_AUTHORIZED = 0x87
const SERVER_UNAVAILABLE = 0x88

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
  readonly client: AedesClient
  request: ConnectRequest | null = null
  /** What the client keeps to, or is told to. */
  keepAliveSeconds = 0
  clientId = ''
  clientIdBytes = Buffer.alloc(0)
  // what Aedes writes is never held and has no limit
  readonly isHeld = false
  readonly maxPacketBytes = Number.POSITIVE_INFINITY

  constructor(connection: Connection, socket: Duplex, context: FrontContext) {
    this.#connection = connection
    this.#context = context
    this.#inner = new Inner(this, socket)
    this.client = context.broker.handle(this.#inner, connection.request, connection.port)
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
      } else if (error instanceof QueueError && isLevel5(bytes, body, end)) {
        this.#refuse(error.reasonCode, true)
      }
      throw error
    }
    this.clientId = this.request.clientId
    if (this.#isNameless(this.request) || this.#hasForbiddenWill(this.request)) return
    this.#connection.hold('connect')
    this.#inner.push(this.request.packet)
  }

  /** The connection is over. @param hasSaidGoodbye the client has sent DISCONNECT: Aedes is told so. */
  over(error: Error | null, hasSaidGoodbye: boolean): void {
    if (this.#isOver) return
    this.#isOver = true
    if (!hasSaidGoodbye) {
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
      const fields = { clientId: request?.clientId ?? '', address: addressOf(this.#connection) }
      this.#context.log.warn({ ...fields, reasonCode: bytes[body + 1] }, 'client refused: not let in')
      this.#connection.send(Buffer.from(bytes.subarray(start, end)))
      // before Aedes tells the application of the refusal
      this.#connection.outgoing.flush()
      return
    }
    const isV5 = request.protocolVersion === 5
    // Aedes has made an id up when the client brought none
    this.clientId = this.client.id
    this.clientIdBytes = Buffer.from(this.clientId)
    const fromAedes = isV5 ? Buffer.from(bytes.subarray(body + 3, end)) : Buffer.alloc(0)
    const { broker, limits } = this.#context
    const granted = grant(request, limits)
    this.keepAliveSeconds = granted.keepAliveSeconds
    const open = () => this.#open(request, granted, fromAedes)
    const isAsked = broker.hasSubscribeHook && !request.isCleanStart
    const opened = isAsked ? reauthorize(this.#connection, this.#context, this.clientId).then(open) : open()
    opened.catch((error: unknown) => this.#unavailable(error))
  }

  #open(request: ConnectRequest, granted: Granted, fromAedes: Buffer): Promise<void> {
    const { broker, limits, sessions } = this.#context
    const { isCleanStart, will } = request
    const isV5 = request.protocolVersion === 5
    const { expirySeconds } = granted
    return sessions.open({ clientId: this.clientId, isCleanStart, expirySeconds, will }, opening => {
      // gone meanwhile: a session that nothing keeps must not stay
      if (this.#connection.isClosed) return this.#abandon(opening)
      const properties = isV5 ? connackProperties(fromAedes, request, granted, limits) : null
      // [MQTT-3.2.2-2], [MQTT-3.2.2-3]; MQTT 3.1 has no such flag
      const isPresent = opening.isPresent && !isCleanStart && request.protocolVersion > 3
      const packet = connack(isPresent, 0, properties)
      this.#connection.send(packet)
      // it may be too large for the client
      if (this.#connection.isClosed) return this.#abandon(opening)
      this.#connection.open(opening)
      for (const publish of this.#early.splice(0)) this.#connection.send(publish)
      broker.opened(this.client, packet, () => this.#connection.release('connect'))
    })
  }

  /** The client was let in and did not wait: its connection has ended, as any other. */
  #abandon({ session, will }: Opening): void {
    this.#context.sessions.detach(session)
    if (will) this.#context.wills.lost(will, session.expirySeconds)
  }

  /** The session could not be stored. */
  #unavailable(error: unknown): void {
    if (this.#connection.isClosed) return
    const isV5 = this.request?.protocolVersion === 5
    const code = error instanceof QueueError ? error.reasonCode : SERVER_UNAVAILABLE
    const code311 = code === NOT_AUTHORIZED ? NOT_AUTHORIZED_311 : SERVER_UNAVAILABLE_311
    this.#refuse(isV5 ? code : code311, isV5)
    this.#connection.fail(error)
  }

  /** A session that is kept needs a client id to be found by. [MQTT-3.1.3-8] of 3.1.1 */
  #isNameless({ protocolVersion, clientId, isCleanStart }: ConnectRequest): boolean {
    if (protocolVersion === 5 || clientId !== '' || isCleanStart) return false
    this.#refuse(IDENTIFIER_REJECTED_311, false)
    this.#connection.fail(protocolError('a session that is to be kept needs a client id'))
    return true
  }

  /** A will that could not be sent is refused at once. */
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

  #willProblem({ will }: ConnectRequest): QueueError | null {
    if (will === null) return null
    try {
      const topic = will.message.topic()
      assertTopic(topic, this.#context.router.maxTopicLevels)
      assertClientTopic(topic)
      return null
    } catch (error) {
      return error as QueueError
    }
  }

  #refuse(code: number, isV5: boolean): void {
    this.#connection.send(connack(false, code, isV5 ? [] : null))
  }
}

/** Whether a CONNECT that cannot be read is one of MQTT 5 all the same, and its client can be told. */
function isLevel5(bytes: Buffer, body: number, end: number): boolean {
  return end - body > 6 && bytes.toString('latin1', body, body + 6) === '\0\x04MQTT' && bytes[body + 6] === 5
}

/** [MQTT-3.1.0-1] */
export function notConnect(): QueueError {
  return protocolError('the first packet is not CONNECT')
}
