import { TYPE } from '../wire/packets.ts'

const UNSPECIFIED = 0x80
const IMPLEMENTATION_SPECIFIC = 0x83
const SERVER_UNAVAILABLE = 0x88
const SERVER_BUSY = 0x89
const QUOTA_EXCEEDED = 0x97

/** The failures that a packet may tell. @see MQTT 5.0 section 2.4 */
const LEGAL: Readonly<Record<number, readonly number[]>> = {
  [TYPE.puback]: [0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
  [TYPE.pubrec]: [0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
  [TYPE.suback]: [0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2],
  [TYPE.unsuback]: [0x80, 0x83, 0x87, 0x8f, 0x91]
}

/** A store that is away is told by what comes nearest to it in packets that cannot say so. */
const UNAVAILABLE: Readonly<Record<number, number>> = {
  [TYPE.puback]: QUOTA_EXCEEDED,
  [TYPE.pubrec]: QUOTA_EXCEEDED,
  [TYPE.suback]: QUOTA_EXCEEDED,
  [TYPE.unsuback]: IMPLEMENTATION_SPECIFIC,
  [TYPE.disconnect]: SERVER_BUSY
}

/**
 * The reason code by which a packet tells of a failure: a client must take one that the packet does not know for an error
 * of protocol. @param type of the packet, as in `TYPE`.
 */
export function failureCode(type: number, reasonCode: number): number {
  if (reasonCode === SERVER_UNAVAILABLE) return UNAVAILABLE[type] ?? reasonCode
  const legal = LEGAL[type]
  return !legal || legal.includes(reasonCode) ? reasonCode : UNSPECIFIED
}
