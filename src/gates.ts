import type { MessageProperties } from './control.ts'

/** Who asks for something. */
export interface Asking {
  readonly clientId: string
  /** User name of its CONNECT; null without one. */
  readonly username: string | null
}

/** A login. */
export interface LoginAttempt extends Asking {
  readonly password: Buffer | null
  /** Remote address and port; null when the connection has none. */
  readonly address: string | null
  readonly protocolVersion: number
}

/** A publish on its way in; a gate may change what is not read-only. */
export interface PublishAttempt {
  topic: string
  payload: Buffer
  qos: 0 | 1 | 2
  isRetained: boolean
  /** Null for a publish of MQTT 3.1 or 3.1.1; setting them has no effect then. */
  properties: MessageProperties | null
}

/** A subscription that is asked for; a gate may lower the QoS. */
export interface SubscribeAttempt {
  readonly filter: string
  qos: 0 | 1 | 2
}

/**
 * What plugins decide. Gates are asked in the order of the plugins, before the hooks of the application; a gate that
 * throws refuses, and whoever asked is told the text of a QueueError (other errors are logged, with the plugin's name).
 * What a gate returns is waited for; one that returns nothing costs no turn.
 */
export interface Gates {
  authenticate(attempt: LoginAttempt): void | Promise<void>
  /** @param asking null for what comes from inside: HTTP, wills of clients that are gone. */
  authorizePublish(asking: Asking | null, attempt: PublishAttempt): void | Promise<void>
  authorizeSubscribe(asking: Asking, attempt: SubscribeAttempt): void | Promise<void>
}
