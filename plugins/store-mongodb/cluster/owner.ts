import { MAX_LANES } from '../../../src/plugin.ts'
import type { Identity } from '../identity.ts'

/**
 * Sessions, cursors and wills belong to one incarnation of a broker, not to its name: a process that was stopped for
 * minutes, while another one was started under its name, must not pass for that one. Lane and incarnation in one number.
 */
export { ownerNumber as ownerOf } from '../identity.ts'

/** The lane of an owner. */
export function laneOfOwner(owner: number): number {
  return owner % MAX_LANES
}

/** The incarnation of an owner. */
export function incarnationOfOwner(owner: number): number {
  return Math.floor(owner / MAX_LANES)
}

/** The owner that this broker is. */
export function selfOf({ owner }: Identity): number {
  return owner
}

/** The incarnation that a numbered document came with; 0 when it does not say. @param batch `<incarnation>.<n>` */
export function incarnationOf(batch: string | undefined): number {
  return Number.parseInt(batch ?? '0', 10)
}
