import type { Settings } from '../config/settings.ts'
import { systemCode } from '../errors.ts'
import { CommandError } from './command.ts'

/** What Node says of a failed system call. */
interface SystemError {
  readonly syscall?: string
  readonly port?: number
  readonly path?: string
}

/**
 * Explains why the server could not start, where the reason is a system call: which setting is behind it, and what
 * to do. Other errors are handed back as they are.
 */
export function explainStartFailure(error: unknown, settings: Settings): unknown {
  const code = systemCode(error)
  if (code === undefined) return error
  const line = code.startsWith('QUEUE_') ? undefined : explain(code, error as SystemError, settings)
  return line === undefined ? error : new CommandError(line, { cause: error })
}

function explain(code: string, { syscall, port, path }: SystemError, settings: Settings): string | undefined {
  const address = `${settings.host} port ${port ?? '?'}`
  switch (code) {
    case 'EADDRINUSE':
      return `${address} is in use by another program: stop it, or choose another port with ${portFlag(port, settings)}`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `host ${settings.host} is no address of this machine: name one with --host (127.0.0.1, or 0.0.0.0 for all)`
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      if (syscall === 'listen' || syscall === 'bind') {
        return `${address} may not be used by this user: choose a port above 1023 with ${portFlag(port, settings)}`
      }
      return `${path ?? settings.data} may not be written by this user (${code}): allow it, or name another folder with --data`
    case 'ENOSPC':
    case 'EDQUOT':
      return `the disk of ${path ?? settings.data} is full: free some space, or name another folder with --data`
    case 'ENOTDIR':
    case 'EEXIST':
      return `${path ?? settings.data} is no folder: name another one with --data`
    default:
      return undefined
  }
}

function portFlag(port: number | undefined, settings: Settings): string {
  return port === settings.mqttPort ? '--mqtt-port' : '--http-port'
}
