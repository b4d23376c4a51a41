import { readFile, readlink } from 'node:fs/promises'
import { hostname } from 'node:os'

/** Where a process runs, so that another one on the same machine can tell whether it is still there. */
export interface ProcessFacts {
  readonly host: string
  readonly pid: number
  /** Process ids mean the same in one namespace; '' where the system does not say. */
  readonly pidNamespace: string
  /** The present run of the kernel; '' where the system does not say. */
  readonly bootId: string
}

/** Those of this process. */
export async function processFacts(): Promise<ProcessFacts> {
  const unknown = () => ''
  return {
    host: hostname(),
    pid: process.pid,
    pidNamespace: await readlink('/proc/self/ns/pid').catch(unknown),
    bootId: (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(unknown)).trim()
  }
}

/**
 * Whether a process is certainly gone: it ran on this machine, since its last boot, among the processes that this one
 * sees, and is not there. One with our own id may be an earlier one, or this very process: that is not certain.
 */
export function isGone(of: ProcessFacts, own: ProcessFacts): boolean {
  const isNear = of.host === own.host && of.bootId === own.bootId && of.pidNamespace === own.pidNamespace
  if (!isNear || own.bootId === '' || own.pidNamespace === '' || of.pid === own.pid) return false
  try {
    process.kill(of.pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}
