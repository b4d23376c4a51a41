import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Client, declareTests } from './clients/promises.ts'
import { needs } from './helpers/tools.ts'

const PROGRAMS = fileURLToPath(new URL('./clients/', import.meta.url))

const CLIENTS: readonly Client[] = [
  {
    name: 'mosquitto_pub and mosquitto_sub',
    command: async (t, server) => {
      if (!needs(t, 'mosquitto_pub', 'mosquitto_sub', 'stdbuf')) return undefined
      return [process.execPath, join(PROGRAMS, 'mosquitto/run.js'), String((await server()).mqttPort)]
    },
    lacks: [
      'an ended subscription gets nothing more',
      'topic aliases stand for their topics both ways',
      'Receive Maximum is never exceeded',
      'No Local keeps own messages away',
      'Retain Handling says when retained messages come',
      'the session expiry of a DISCONNECT counts',
      'an empty client id is given one',
      'an authentication method is refused with 0x8C',
      'a delayed will waits, and is not sent when the session resumes'
    ],
    adds: ['topic aliases stand for their topics', 'a small Receive Maximum holds up nothing']
  },
  {
    name: 'MQTT.js over TCP',
    command: async (_t, server) => mqttjs(`mqtt://127.0.0.1:${(await server()).mqttPort}`),
    adds: ['a message that a client refuses is not sent again']
  },
  {
    name: 'MQTT.js over WebSocket',
    command: async (_t, server) => mqttjs(`ws://127.0.0.1:${(await server()).httpPort}/mqtt`),
    adds: ['a message that a client refuses is not sent again']
  }
]

function mqttjs(url: string): string[] {
  return [process.execPath, join(PROGRAMS, 'mqttjs/run.js'), url]
}

declareTests(CLIENTS)
