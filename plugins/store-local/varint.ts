const FIRST_BYTES = 4096

/** Writes whole numbers from 0 to 2^53 - 1, 7 bits a byte, lowest first; all but the last byte have the highest bit. */
export class VarintWriter {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES)
  #length = 0

  write(value: number): void {
    if (this.#length + 8 > this.#bytes.length) this.#grow(this.#bytes.length * 2)
    while (value > 127) {
      this.#bytes[this.#length++] = (value % 128) | 128
      value = Math.floor(value / 128)
    }
    this.#bytes[this.#length++] = value
  }

  /** What was written so far. */
  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  #grow(bytes: number): void {
    const larger = Buffer.allocUnsafe(bytes)
    this.#bytes.copy(larger, 0, 0, this.#length)
    this.#bytes = larger
  }
}

/** Reads what {@link VarintWriter} wrote. */
export class VarintReader {
  readonly #bytes: Buffer
  #at: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.#at = at
  }

  /** The next number. @throws RangeError behind the end */
  next(): number {
    let byte = this.#byte()
    if (byte < 128) return byte
    let value = byte & 127
    let scale = 128
    do {
      byte = this.#byte()
      value += (byte & 127) * scale
      scale *= 128
    } while (byte > 127)
    return value
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++]
    if (byte === undefined) throw new RangeError('the numbers end too early')
    return byte
  }
}
