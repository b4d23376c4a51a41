import type { ErrorWithSubackPacket, IClientPublishOptions, Packet } from 'mqtt'
import { type Check, same } from '../checks.ts'
import { type Message, type Peer, payloadsOf } from './peer.ts'
import type { Version5 } from './version5.ts'
import { WireTap } from './wire-tap.ts'

const MOST_UNACKED = 10
const MESSAGES = 3 * MOST_UNACKED

/** The library groups user properties of one name, so that order shows among those of the same name only. */
const PROPERTIES = {
  payloadFormatIndicator: true,
  contentType: 'application/json',
  responseTopic: 'answers/here',
  correlationData: Buffer.from([0, 1, 127, 128, 255]),
  userProperties: { b: ['3', '1', '2', '1'], a: '2', é: '東' }
}

/** Checks of what a message of MQTT 5 carries, and of how many are under way. */
export function messageChecks(to: Version5): Check[] {
  return [
    ['the properties of a message arrive unchanged and in order', () => properties(to)],
    ['topic aliases stand for their topics both ways', () => aliases(to)],
    ['Receive Maximum is never exceeded', () => receiveMaximum(to)],
    ['a message that is too large for a client is left out', () => packetSize(to)],
    ['acknowledgements carry reason codes', () => reasonCodes(to)],
    ['a message that a client refuses is not sent again', () => refused(to)]
  ]
}

async function properties(to: Version5): Promise<void> {
  const live = await to.peer('props')
  const away = await to.session('props-away')
  const publisher = await to.peer('props-pub')
  await live.subscribe('props/#', { qos: 2 })
  await away.subscribe('props/#', { qos: 2 })
  await away.disconnect()
  const publish = async (payload: string, options: IClientPublishOptions): Promise<void> => {
    await publisher.publish('props/a', payload, { ...options, properties: PROPERTIES })
    sameProperties(await live.next(), payload)
  }
  for (const qos of [0, 1, 2] as const) await publish(`sent at ${qos}`, { qos })
  await publish('kept', { qos: 2, retain: true })
  const again = await to.session('props-away')
  for (const payload of ['sent at 1', 'sent at 2', 'kept']) sameProperties(await again.next(), payload)
  const late = await to.peer('props-late')
  await late.subscribe('props/#', { qos: 0 })
  sameProperties(await late.next(), 'kept')
  await publisher.publish('props/a', '', { qos: 1, retain: true })
  for (const peer of [live, again, publisher, late]) await peer.disconnect()
}

function sameProperties(got: Message, payload: string): void {
  const userProperties = { ...got.properties.userProperties }
  same([got.payload, { ...got.properties, userProperties }], [payload, PROPERTIES])
}

async function aliases(to: Version5): Promise<void> {
  const subscriber = await to.peer('alias-sub', { properties: { topicAliasMaximum: 5 } })
  await subscriber.subscribe('alias/#', { qos: 1 }) // at QoS 2 the library forgets what an alias stands for
  const publisher = await to.peer('alias-pub', { autoAssignTopicAlias: true })
  same((publisher.connack.properties?.topicAliasMaximum ?? 0) > 0, true)
  let aliased = 0
  publisher.client.on('packetsend', packet => {
    if (packet.cmd === 'publish' && packet.topic === '') aliased++
  })
  const expected = Array.from({ length: 60 }, (_, number) => `alias/${Math.floor(number / 3)} ${number}`)
  for (const [number, payload] of expected.entries()) {
    await publisher.publish(`alias/${Math.floor(number / 3)}`, payload, { qos: (number % 3) as 0 | 1 | 2 })
  }
  await publisher.publish('alias/end', 'end', { qos: 1 })
  const got = await subscriber.before('end')
  same(payloadsOf(got).sort(), expected.sort())
  for (const { topic, payload } of got) same(payload.startsWith(`${topic} `), true)
  same(aliased > 0, true)
  await subscriber.disconnect()
  await publisher.disconnect()
}

async function receiveMaximum(to: Version5): Promise<void> {
  const publisher = await to.peer('window-pub')
  for (let window = 1; window <= MOST_UNACKED; window++) {
    const held: (() => void)[] = []
    let isFull = false
    const peer = await to.peer(`window-${window}`, {
      properties: { receiveMaximum: window },
      customHandleAcks: (_topic, _message, _packet, ack) => {
        if (isFull) ack(0)
        else held.push(() => ack(0))
      }
    })
    const topic = `window/${window}`
    await peer.subscribe(topic, { qos: 2 })
    const tap = new WireTap(peer.client)
    for (let number = 0; number < MESSAGES; number++) {
      await publisher.publish(topic, String(number), { qos: qosOf(number) })
    }
    const answered = peer.subscribe('window/asked-last', { qos: 0 })
    await tap.seen('suback') // what would exceed the window comes before this answer
    isFull = true
    for (const ack of held) ack()
    const got = await peer.take(MESSAGES)
    for (const qos of [1, 2] as const) {
      // the library hands over a message of QoS 2 at PUBREL, so that one of QoS 1 may overtake it there
      same(payloadsOf(got.filter(message => message.qos === qos)), numbersOf(qos))
    }
    same(tap.mostUnacked, window)
    await answered
    await peer.disconnect()
  }
  await publisher.disconnect()
}

/** Ten messages of QoS 1, ten of QoS 2, ten of QoS 1. */
function qosOf(number: number): 1 | 2 {
  return Math.floor(number / MOST_UNACKED) % 2 === 0 ? 1 : 2
}

function numbersOf(qos: 1 | 2): string[] {
  return Array.from({ length: MESSAGES }, (_, number) => number)
    .filter(number => qosOf(number) === qos)
    .map(String)
}

async function packetSize(to: Version5): Promise<void> {
  const peer = await to.peer('small', { properties: { maximumPacketSize: 200 } })
  await peer.subscribe('small/#', { qos: 1 })
  const publisher = await to.peer('small-pub')
  const [first, large, last] = ['x'.repeat(100), 'y'.repeat(300), 'z'.repeat(100)]
  await publisher.publish('small/a', [first, large, last, 'end'], { qos: 1 })
  same(payloadsOf(await peer.before('end')), [first, last])
  await peer.disconnect()
  await publisher.disconnect()
}

async function reasonCodes(to: Version5): Promise<void> {
  const peer = await to.peer('codes')
  for (const qos of [0, 1, 2] as const) same(await peer.subscribe(`codes/${qos}`, { qos }), qos)
  const seen: Packet[] = []
  peer.client.on('packetreceive', packet => seen.push(packet))
  for (const qos of [1, 2] as const) {
    await peer.publish('codes/0', 'x', { qos })
    await peer.publish('codes/nobody', 'x', { qos })
  }
  const codes = seen.flatMap(packet =>
    packet.cmd === 'puback' || packet.cmd === 'pubrec' ? [packet.reasonCode ?? 0] : []
  )
  same([codes[0], codes[2]], [0, 0])
  for (const code of [codes[1], codes[3]]) same([code, code === 0 || code === 0x10], [code, true])
  const unsuback = await peer.client.unsubscribeAsync(['codes/0', 'codes/never'])
  same(unsuback?.cmd === 'unsuback' && unsuback.granted, [0, 0x11])
  const isShared = peer.connack.properties?.sharedSubscriptionAvailable !== false
  const granted = await peer
    .subscribe('$share/group/codes/s', { qos: 1 })
    .catch((error: ErrorWithSubackPacket) => error.packet.granted[0])
  same(granted, isShared ? 1 : 0x9e)
  await peer.disconnect()
}

async function refused(to: Version5): Promise<void> {
  const peer = await to.session('refused', {
    customHandleAcks: (_topic, message, _packet, ack) => ack(message.toString() === 'no' ? 0x83 : 0)
  })
  await peer.subscribe('refused/#', { qos: 2 })
  const publisher = await to.peer('refused-pub')
  for (const qos of [1, 2] as const) await publisher.publish('refused/a', ['no', `yes ${qos}`], { qos })
  same(payloadsOf(await peer.take(2)), ['yes 1', 'yes 2'])
  await peer.disconnect()
  const again: Peer = await to.session('refused')
  same(again.isSessionPresent, true)
  await publisher.publish('refused/a', 'end', { qos: 2 })
  same(payloadsOf(await again.before('end')), [])
  await again.disconnect()
  await publisher.disconnect()
}
