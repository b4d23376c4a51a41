import mqtt from 'mqtt'

/** What a server said when it refused or ended a connection. */
export interface Verdict {
  /** Reason code of MQTT 5, or return code of MQTT 3.1.1; 0 when none was given. */
  readonly code: number
  /** For people: code, name and the server's own words; '' when none was given. */
  readonly text: string
}

/** No word of the server. */
export const NO_VERDICT: Verdict = { code: 0, text: '' }

/** Session taken over. @see MQTT 5.0 section 2.4 */
export const TAKEN_OVER = 0x8e

/** Codes of CONNACK for "not this version": of MQTT 5, and of servers that know only MQTT 3.1.1. */
export const WRONG_VERSION: ReadonlySet<number> = new Set([0x01, 0x84])

/**
 * Reasons that do not pass by themselves: trying again would give the same answer, or fight another client.
 * 1, 2, 4 and 5 are return codes of MQTT 3.1.1. @see MQTT 5.0 section 2.4
 */
const FINAL: ReadonlySet<number> = new Set([
  0x01, 0x02, 0x04, 0x05, 0x81, 0x82, 0x84, 0x85, 0x86, 0x87, 0x8a, 0x8c, 0x8e, 0x90, 0x95, 0x99, 0x9a, 0x9b,
  0x9c, 0x9d
])

/** Whether there is no sense in connecting again after this. */
export function isFinal({ code }: Verdict): boolean {
  return FINAL.has(code)
}

/** A reason code with its name, and the server's own words if it gave any. */
export function reasonText(code: number, words?: string): string {
  const names: Readonly<Record<number, string>> = mqtt.ReasonCodes
  return [`0x${code.toString(16).padStart(2, '0')}`, names[code], words && `(${words})`]
    .filter(Boolean)
    .join(' ')
}
