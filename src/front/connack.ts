import {
  byteProperty,
  CARRIER,
  PROPERTY,
  textProperty,
  uint16Property,
  uint32Property,
  walkProperties
} from '../wire/properties.ts'
import { type ConnectRequest, EXPIRY_NEVER } from './connect.ts'
import type { FrontLimits } from './context.ts'

/** What only we know; Aedes may have said something else of it. */
const OURS = new Set<number>([
  PROPERTY.sessionExpiryInterval,
  PROPERTY.receiveMaximum,
  PROPERTY.maximumQos,
  PROPERTY.retainAvailable,
  PROPERTY.maximumPacketSize,
  PROPERTY.topicAliasMaximum,
  PROPERTY.wildcardSubscriptionAvailable,
  PROPERTY.subscriptionIdentifierAvailable,
  PROPERTY.sharedSubscriptionAvailable,
  PROPERTY.serverKeepAlive
])
const DEFAULT_RECEIVE_MAXIMUM = 65_535

/** What the server grants in answer to a CONNECT. */
export interface Granted {
  /** Seconds the session is kept after the disconnect; null: for ever. */
  readonly expirySeconds: number | null
  readonly keepAliveSeconds: number
}

/** What a client gets of what it asked for. @see MQTT 5.0 sections 3.2.2.3.2 (expiry) and 3.2.2.3.14 (keep alive) */
export function grant(request: ConnectRequest, limits: FrontLimits): Granted {
  const { protocolVersion, keepAliveSeconds, isCleanStart } = request
  const isV5 = protocolVersion === 5
  const limit = isV5 ? limits.maxSessionExpirySeconds : limits.sessionExpirySeconds
  const asked = request.expirySeconds
  const isKept = isV5 || !isCleanStart
  const expirySeconds = limit === 0 || !isKept ? asked : Math.min(asked ?? limit, limit)
  const most = limits.maxKeepAliveSeconds
  const isLonger = keepAliveSeconds === 0 || keepAliveSeconds > most
  // only MQTT 5 can be told
  return { expirySeconds, keepAliveSeconds: isV5 && most > 0 && isLonger ? most : keepAliveSeconds }
}

/** Properties of our CONNACK, behind those that Aedes gave. @see MQTT 5.0 section 3.2.2.3 */
export function connackProperties(
  fromAedes: Buffer,
  request: ConnectRequest,
  granted: Granted,
  limits: FrontLimits
): Buffer[] {
  const properties: Buffer[] = []
  let hasInformation = false // of an application that asks Aedes to give it
  walkProperties(fromAedes, CARRIER.connack, (id, _value, from, to) => {
    if (!OURS.has(id)) properties.push(fromAedes.subarray(from, to))
    if (id === PROPERTY.responseInformation) hasInformation = true
  })
  if (granted.expirySeconds !== request.expirySeconds) {
    properties.push(uint32Property(PROPERTY.sessionExpiryInterval, granted.expirySeconds ?? EXPIRY_NEVER))
  }
  if (granted.keepAliveSeconds !== request.keepAliveSeconds) {
    properties.push(uint16Property(PROPERTY.serverKeepAlive, granted.keepAliveSeconds)) // [MQTT-3.1.2-21]
  }
  const { receiveMaximum, topicAliasMaximum, maxPacketBytes, responseInformation } = limits
  if (receiveMaximum < DEFAULT_RECEIVE_MAXIMUM) {
    properties.push(uint16Property(PROPERTY.receiveMaximum, receiveMaximum))
  }
  if (topicAliasMaximum > 0) properties.push(uint16Property(PROPERTY.topicAliasMaximum, topicAliasMaximum))
  if (request.wantsResponseInformation && responseInformation !== '' && !hasInformation) {
    properties.push(textProperty(PROPERTY.responseInformation, responseInformation)) // [MQTT-3.1.2-28]
  }
  properties.push(uint32Property(PROPERTY.maximumPacketSize, maxPacketBytes))
  properties.push(byteProperty(PROPERTY.sharedSubscriptionAvailable, 0))
  return properties
}
