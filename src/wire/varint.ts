/** Largest value of a Variable Byte Integer. @see MQTT 5.0 section 1.5.5 */
export const MAX_VARINT = 268_435_455

/** Bytes that a Variable Byte Integer takes: 1 to 4. */
export function varintLength(value: number): number {
  return value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : 4
}

/** Writes a Variable Byte Integer at `offset`; returns the offset behind it. */
export function writeVarint(target: Uint8Array, value: number, offset: number): number {
  let rest = value
  let at = offset
  while (rest > 127) {
    target[at++] = (rest & 127) | 128
    rest >>>= 7
  }
  target[at++] = rest
  return at
}

/**
 * Reads a Variable Byte Integer. No object is made: the answer carries both numbers.
 * @returns value * 8 + length in bytes (1 to 4); 0 when the bytes end too early; -1 when it is malformed
 * (a fifth byte, or more bytes than needed). @see MQTT 5.0 section 1.5.5
 */
export function readVarint(source: Uint8Array, offset: number, end: number): number {
  let value = 0
  let factor = 1
  for (let length = 1; length <= 4; length++) {
    const at = offset + length - 1
    if (at >= end) return 0
    const byte = source[at]!
    value += (byte & 127) * factor
    if (byte < 128) return byte === 0 && length > 1 ? -1 : value * 8 + length
    factor *= 128
  }
  return -1
}

/** The value in an answer of {@link readVarint}. */
export function varintValue(packed: number): number {
  return Math.floor(packed / 8)
}

/** The length in bytes in an answer of {@link readVarint}. */
export function varintBytes(packed: number): number {
  return packed & 7
}
