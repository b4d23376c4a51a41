import { readFile } from 'node:fs/promises'
import { uptime } from 'node:os'
import type { Clock } from '../../src/plugin.ts'

/**
 * Names the present run of the machine's kernel: what a killed process had written is still there as long as it is
 * the same. From RESTANTE_BOOT_ID when set; on Linux the kernel's boot id; elsewhere the time of the boot to ten
 * seconds, which may change when the clock is set (and then counts as another boot, which is safe).
 */
export async function bootId(clock: Clock): Promise<string> {
  const given = process.env.RESTANTE_BOOT_ID
  if (given) return given
  try {
    return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
  } catch {
    return `${Math.round((clock.now() / 1000 - uptime()) / 10)}`
  }
}
