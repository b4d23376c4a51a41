import test from 'ava'
import { assertFirstRefused, CODE, type FirstRefusal } from '../helpers/conformance.ts'
import { type Bytes, connect, packet, properties, text } from '../helpers/conformance-bytes.ts'

// CONNECT that is malformed, or not allowed. MQTT 3.1.1 is told nothing [MQTT-3.1.4-1], MQTT 5 gets CONNACK with a
// reason code (section 4.13.1). More for 3.1.1: test/hostile-packets.test.ts

const id = text('x')
const field = text('f')
const will = (list: readonly Bytes[], topic: Bytes = field, payload: Bytes = field) => [
  ...id,
  ...properties(...list),
  ...topic,
  ...payload
]
const five = (flags: number, payload: Bytes, list: Bytes = []) =>
  connect({ version: 5, flags, payload, properties: list })
const four = (flags: number, payload: Bytes) => connect({ flags, payload })

const M = CODE.malformed
const P = CODE.protocolError

const CASES: readonly FirstRefusal[] = [
  // [MQTT-3.1.2-3]
  { title: 'the reserved flag of CONNECT is answered with 0x81', bytes: five(3, id), code: M },
  // [MQTT-3.1.2-11], [MQTT-3.1.2-12], [MQTT-3.1.2-13] of 5
  { title: 'a will of QoS 3 is answered with 0x81', bytes: five(0x1e, will([])), code: M },
  { title: 'a Will QoS without a will is answered with 0x81', bytes: five(0x0a, id), code: M },
  { title: 'Will Retain without a will is answered with 0x81', bytes: five(0x22, id), code: M },
  // [MQTT-3.1.2-9], [MQTT-3.1.2-16] to [MQTT-3.1.2-19] of 5
  { title: 'a will flag without a will is answered with 0x81', bytes: five(6, id), code: M },
  { title: 'a will without a payload is answered with 0x81', bytes: five(6, [...id, 0, ...field]), code: M },
  { title: 'a will without its flag is answered with 0x81', bytes: five(2, will([])), code: M },
  { title: 'a user name flag without a user name is answered with 0x81', bytes: five(0x82, id), code: M },
  { title: 'a user name without its flag is answered with 0x81', bytes: five(2, [...id, ...field]), code: M },
  { title: 'a password flag without a password is answered with 0x81', bytes: five(0x42, id), code: M },
  {
    title: 'a password without its flag is answered with 0x81',
    bytes: five(0x82, [...id, ...field, ...field]),
    code: M
  },
  // [MQTT-3.1.2-3], [MQTT-3.1.2-11] to [MQTT-3.1.2-15] of 3.1.1
  { title: 'the reserved flag of a 3.1.1 CONNECT ends the connection', bytes: four(3, id), code: null },
  {
    title: 'a 3.1.1 will of QoS 3 ends the connection',
    bytes: four(0x1e, [...id, ...field, ...field]),
    code: null
  },
  { title: 'a Will QoS without a 3.1.1 will ends the connection', bytes: four(0x0a, id), code: null },
  { title: 'Will Retain without a 3.1.1 will ends the connection', bytes: four(0x22, id), code: null },
  { title: 'a 3.1.1 CONNECT without a client id ends the connection', bytes: four(2, []), code: null },
  // [MQTT-3.1.2-22] of 3.1.1
  {
    title: 'a 3.1.1 password without a user name ends the connection',
    bytes: four(0x42, [...id, ...field]),
    code: null
  },
  {
    title: 'a 3.1.1 user name flag without a user name ends the connection',
    bytes: four(0x82, id),
    code: null
  },
  // [MQTT-3.1.2-11], [MQTT-3.1.2-18] to [MQTT-3.1.2-21] of 3.1.1
  {
    title: 'a 3.1.1 will without its flag ends the connection',
    bytes: four(2, [...id, ...field, ...field]),
    code: null
  },
  {
    title: 'a 3.1.1 will without a payload ends the connection',
    bytes: four(6, [...id, ...field]),
    code: null
  },
  {
    title: 'a 3.1.1 user name without its flag ends the connection',
    bytes: four(2, [...id, ...field]),
    code: null
  },
  {
    title: 'a 3.1.1 password flag without a password ends the connection',
    bytes: four(0xc2, [...id, ...field]),
    code: null
  },
  {
    title: 'a 3.1.1 password without its flag ends the connection',
    bytes: four(0x82, [...id, ...field, ...field]),
    code: null
  },
  // [MQTT-3.1.3-3]
  { title: 'CONNECT without a client id is answered with 0x81', bytes: five(2, []), code: M },
  { title: 'CONNECT with a client id cut off is answered with 0x81', bytes: five(2, [0, 5, 97]), code: M },
  { title: 'CONNECT with a byte behind its end is answered with 0x81', bytes: five(2, [...id, 0]), code: M },
  {
    title: 'CONNECT without properties is answered with 0x81',
    bytes: packet(0x10, text('MQTT'), 5, 2, 0, 0),
    code: M
  },
  {
    title: 'properties that are longer than CONNECT are answered with 0x81',
    bytes: packet(0x10, text('MQTT'), 5, 2, 0, 0, 99, id),
    code: M
  },
  {
    title: 'a property of CONNECT that is cut off is answered with 0x81',
    bytes: five(2, id, [33, 0]),
    code: M
  },
  // illegal values: MQTT 5.0 section 3.1.2.11
  { title: 'Receive Maximum 0 is answered with 0x82', bytes: five(2, id, [33, 0, 0]), code: P },
  { title: 'Maximum Packet Size 0 is answered with 0x82', bytes: five(2, id, [39, 0, 0, 0, 0]), code: P },
  { title: 'Request Problem Information 2 is answered with 0x82', bytes: five(2, id, [23, 2]), code: P },
  { title: 'Request Response Information 2 is answered with 0x82', bytes: five(2, id, [25, 2]), code: P },
  {
    title: 'Authentication Data without a method is answered with 0x82',
    bytes: five(2, id, [22, ...field]),
    code: P
  },
  // [MQTT-4.12.0-1]
  {
    title: 'an Authentication Method is answered with 0x8C',
    bytes: five(2, id, [21, ...field]),
    code: 0x8c
  },
  // wills that could not be published
  { title: 'a will to a wildcard is answered with 0x90', bytes: five(6, will([], text('a/+'))), code: 0x90 },
  {
    title: 'a will without a topic is answered with 0x90',
    bytes: five(6, will([], text(''))),
    code: [0x90, M, P]
  },
  {
    title: 'a 3.1.1 will to a wildcard ends the connection',
    bytes: four(6, [...id, ...text('#'), ...field]),
    code: null
  },
  {
    title: 'a will with Payload Format Indicator 2 is refused',
    bytes: five(6, will([[1, 2]])),
    code: [M, P]
  },
  {
    title: 'a will whose Response Topic is a wildcard is refused',
    bytes: five(6, will([[8, ...text('a/#')]])),
    code: [M, P, CODE.topicInvalid]
  }
]

for (const refusal of CASES) test(refusal.title, t => assertFirstRefused(t, refusal))

/** Protocol names and levels that are not ours. */
const PROTOCOLS: readonly FirstRefusal[] = [
  // [MQTT-3.1.2-1], [MQTT-3.1.2-2]
  {
    title: 'another protocol name at level 5 is not let in',
    bytes: packet(0x10, text('MQTX'), 5, 2, 0, 0, 0, id),
    code: [1, 0x84, null]
  },
  {
    title: 'the protocol name in small letters is not let in',
    bytes: packet(0x10, text('mqtt'), 4, 2, 0, 0, id),
    code: [1, null]
  },
  {
    title: 'an empty protocol name is not let in',
    bytes: packet(0x10, text(''), 4, 2, 0, 0, id),
    code: [1, null]
  },
  { title: 'level 0 is answered with 1', bytes: packet(0x10, text('MQTT'), 0, 2, 0, 0, id), code: 1 },
  {
    title: 'level 3 of MQTT is answered with 1',
    bytes: packet(0x10, text('MQTT'), 3, 2, 0, 0, id),
    code: 1
  },
  {
    title: 'level 255 is answered with 0x84',
    bytes: packet(0x10, text('MQTT'), 255, 2, 0, 0, 0, id),
    code: 0x84
  }
]

for (const refusal of PROTOCOLS) test(refusal.title, t => assertFirstRefused(t, refusal))
