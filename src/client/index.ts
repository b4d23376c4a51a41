import { Client } from './client.ts'
import type { ConnectOptions } from './options.ts'

export type { BackOffLimits } from './back-off.ts'
export type { ClientState, CloseOptions, CloseResult } from './client.ts'
export { Client } from './client.ts'
export type { ClientErrorCode } from './errors.ts'
export { ClientError } from './errors.ts'
export type { ClientEvents, ClientListener } from './events.ts'
export type { Order } from './lane.ts'
export type { Message, MessageProperties, RawMessage } from './message.ts'
export type { ConnectOptions } from './options.ts'
export type {
  PayloadFormat,
  Schema,
  StandardIssue,
  StandardResult,
  StandardSchema,
  ValidateFunction
} from './payload.ts'
export type { PublishOptions } from './publisher.ts'
export type { Handler, InvalidHandler, SubscribeOptions, Subscription } from './subscription.ts'

/**
 * Connects to a server. Messages of a durable session may come at once: they wait, unacked, until `client.on`
 * gives them a handler. To listen to events from the start, make a {@link Client}, and `open` it when
 * everything is in place.
 * @param url mqtt, mqtts, ws or wss; in a browser ws or wss.
 * @throws ClientError CLIENT_OPTIONS_INVALID, CLIENT_UNREACHABLE, CLIENT_REFUSED
 */
export async function connect(url: string, options: ConnectOptions = {}): Promise<Client> {
  const client = new Client(url, options)
  await client.open()
  return client
}
