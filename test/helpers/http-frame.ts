/** One WebSocket frame as a client sends it. @see RFC 6455 section 5.2 */
export interface FrameParts {
  /** 0 continuation, 1 text, 2 binary, 8 close, 9 ping. */
  readonly opcode: number
  readonly isFinal: boolean
  /** One byte per character, at most 125. */
  readonly payload: string
}

const MASK = Buffer.of(0x5a, 0x01, 0xff, 0x80)

/** The bytes of a frame, masked as those of a client must be. */
export function maskedFrame({ opcode, isFinal, payload }: FrameParts): Buffer {
  const data = Buffer.from(payload, 'latin1')
  const head = Buffer.of((isFinal ? 0x80 : 0) | opcode, 0x80 | data.length)
  return Buffer.concat([head, MASK, data.map((byte, index) => byte ^ MASK[index % 4]!)])
}
