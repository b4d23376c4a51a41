import { keepAlive, systemClock } from '../clock.ts'
import type { Settings } from '../config/settings.ts'
import { errorText } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Plugin } from '../plugin.ts'
import { packageVersion } from '../version.ts'
import { CommandError, EXIT } from './command.ts'
import { firstScreen } from './first-screen.ts'
import { ReadyFile } from './ready-file.ts'
import { explainStartFailure } from './start-failure.ts'
import { isColoured, writeLine } from './terminal.ts'

/** Where a server listens; the host is an IP address. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** What the command needs of a running server. */
export interface RunningServer {
  readonly mqttAddress: Address
  readonly httpAddress: Address
  readonly aedesVersion: string
  /** Resolves when it must be stopped and started anew; left out: never. */
  readonly fenced?: Promise<Error>
  /** Stops accepting, writes out what is pending, and releases everything. */
  stop(): Promise<void>
}

/** Starts a server; resolves once everything listens. */
export type CreateServer = (options: {
  readonly settings: Settings
  readonly plugins: readonly Plugin[]
  readonly log: Logger
}) => Promise<RunningServer>

/** A log with the severity for what ends the process. */
export interface FatalLogger extends Logger {
  fatal(fields: object, text: string): void
}

/** All that a run of the server is made of. */
export interface ServeOptions {
  readonly settings: Settings
  readonly plugins: readonly Plugin[]
  /** Where the options of plugins came from. */
  readonly pluginsOrigin?: string
  readonly createServer: CreateServer
  readonly log: FatalLogger
  /** The plugin in whose file an error came up that nobody has caught; undefined when it came from elsewhere. */
  readonly culprit?: (error: unknown) => string | undefined
}

/**
 * Signals so soon after the first are the same wish: Ctrl-C under `npm start` reaches the server from the terminal and
 * from npm, and `timeout` sends its signal twice as well.
 */
const SAME_SIGNAL_MS = 500

/**
 * Runs a server until the first SIGTERM or SIGINT and stops it cleanly; a second signal ends the process at once
 * with 1. A fault (an error nobody caught) ends it with 70: better none than a half-dead server; a fault in the file of a plugin
 * is logged with its name.
 * @returns the exit code after a clean stop.
 * @throws CommandError, QueueError and others when the server cannot start or stop.
 */
export async function serve({ createServer, ...options }: ServeOptions): Promise<number> {
  const { settings, plugins, log, culprit = () => undefined } = options
  const readyFile = new ReadyFile(settings.readyFile)
  process.once('exit', () => readyFile.remove()) // however it ends, short of a kill
  process.stdout.on('error', () => {}) // a closed terminal must not stop the server
  endOnFault(log, culprit)
  const signal = firstSignal()
  for (let settingsNow = settings; ; ) {
    const waiting = keepAlive() // also while nothing happens but the waiting for a store
    const starting = createServer({ ...options, settings: settingsNow })
      .catch(error => {
        throw explainStartFailure(error, settings)
      })
      .finally(() => waiting.cancel())
    const server = await Promise.race([starting, signal])
    if (typeof server === 'string') {
      starting.catch(() => {}) // nobody waits for it any more
      writeLine(`${server}: stopped while it was starting. What is stored is as it was.`)
      return EXIT.done
    }
    const { mqttAddress: mqtt, httpAddress: http, aedesVersion, fenced = never } = server
    let end: NodeJS.Signals | Error
    try {
      const isGuarded = plugins.some(plugin => plugin.name === 'auth')
      const facts = { settings, mqtt, http, aedesVersion, version: packageVersion(), isGuarded }
      writeLine(firstScreen(facts, isColoured()))
      readyFile.write({ mqtt, http })
      end = await Promise.race([signal, fenced])
      if (typeof end === 'string') writeLine(`${end}: stopping. A second one ends at once.`)
    } finally {
      readyFile.remove()
      await stop(server)
    }
    if (typeof end === 'string') break
    log.error({ err: end }, `starting anew: ${errorText(end)}`)
    // whoever knows its ports finds it where it was
    settingsNow = { ...settings, mqttPort: mqtt.port, httpPort: http.port }
  }
  writeLine('Stopped; everything accepted is stored.')
  return EXIT.done
}

const never = new Promise<Error>(() => {})

async function stop(server: RunningServer): Promise<void> {
  try {
    await server.stop()
  } catch (error) {
    throw new CommandError(
      `the server did not stop cleanly (${errorText(error)}): it will recover at the next start`,
      {
        cause: error
      }
    )
  }
}

function firstSignal(): Promise<NodeJS.Signals> {
  return new Promise(resolve => {
    let firstAt: number | undefined
    const onSignal = (signal: NodeJS.Signals): void => {
      const now = systemClock.now()
      if (firstAt === undefined) firstAt = now
      else if (now - firstAt > SAME_SIGNAL_MS) process.exit(EXIT.failed)
      resolve(signal)
    }
    process.on('SIGTERM', onSignal)
    process.on('SIGINT', onSignal)
  })
}

function endOnFault(log: FatalLogger, culprit: (error: unknown) => string | undefined): void {
  const onFault = (error: unknown, kind: string): void => {
    const plugin = culprit(error)
    if (plugin !== undefined) {
      log.error({ err: error, plugin }, `${kind} in plugin ${plugin}: ${errorText(error)}`)
      return
    }
    try {
      log.fatal({ err: error }, `${kind}: ${errorText(error)}`)
    } finally {
      process.exit(EXIT.fault)
    }
  }
  process.on('uncaughtException', error => onFault(error, 'uncaught exception'))
  process.on('unhandledRejection', error => onFault(error, 'unhandled rejection'))
}
