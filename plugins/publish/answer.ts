import { type Published, splitTopic } from '../../src/plugin.ts'

/** What is told of an accepted message. */
export interface Accepted {
  /** `<lane>:<sequence>`; null when it is not kept. */
  readonly id: string | null
  readonly topic: string
  readonly queue: string
  readonly event: string
}

/** JSON Schema of the parts of {@link Accepted}. */
export const acceptedProperties = {
  id: {
    type: ['string', 'null'],
    description: 'Id of the message; null for QoS 0 that is not retained, which is not kept.'
  },
  topic: { type: 'string', description: 'Where it went: a hook of the server may have changed that.' },
  queue: { type: 'string', description: 'First level of the topic.' },
  event: { type: 'string', description: 'The rest of the topic; empty for a topic of one level.' }
} as const

/** JSON Schema of {@link Accepted}. */
export function acceptedSchema(description: string) {
  return {
    type: 'object',
    description,
    required: Object.keys(acceptedProperties),
    properties: acceptedProperties
  }
}

/** What is told of an accepted message. */
export function acceptedRow({ id, topic }: Published): Accepted {
  return { id, topic, ...splitTopic(topic) }
}

/** 201 when it is kept; 202 when it was passed on to whoever listens. */
export function acceptedStatus({ id }: Published): 201 | 202 {
  return id === null ? 202 : 201
}

/** Why a message may be refused, by status, for the descriptions of routes. */
export const REFUSALS = {
  400: { type: 'object', description: 'The request is not valid; `detail` says what, and what is expected.' },
  403: {
    type: 'object',
    description:
      'The topic begins with `$`, a hook of the server has refused it, or the Origin is not allowed.'
  },
  413: { type: 'object', description: 'The message is larger than the setting `maxPacketBytes`.' },
  503: {
    type: 'object',
    description: 'The store has failed, or the server is stopping. It was not accepted.'
  },
  507: { type: 'object', description: 'The store is full. Nothing was stored; later it may pass.' }
} as const
