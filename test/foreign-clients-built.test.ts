import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { builtFolder } from './clients/built.ts'
import { type Client, declareTests } from './clients/promises.ts'
import { needs } from './helpers/tools.ts'

const TOP = fileURLToPath(new URL('../../', import.meta.url))

const CLIENTS: readonly Client[] = [
  {
    name: 'paho for Python',
    command: async (t, server) => {
      const folder = needs(t, 'python3') && builtFolder(t, TOP, 'python')
      if (!folder) return undefined
      const run = join(TOP, 'test/clients/python/run.py')
      return [join(folder, 'venv/bin/python'), '-B', run, String((await server()).mqttPort)]
    }
  },
  {
    name: 'paho for Go',
    command: async (t, server) => {
      const folder = builtFolder(t, TOP, 'go')
      if (!folder) return undefined
      return [join(folder, 'clients'), String((await server()).mqttPort)]
    }
  },
  {
    name: 'paho and HiveMQ for Java',
    command: async (t, server) => {
      const folder = needs(t, 'java') && builtFolder(t, TOP, 'java')
      if (!folder) return undefined
      const classes = `${join(folder, 'clients.jar')}:${join(folder, 'lib/*')}`
      return ['java', '-cp', classes, 'clients.Main', String((await server()).mqttPort)]
    },
    lacks: [
      'a message names the subscriptions it comes from',
      'an authentication method is refused with 0x8C'
    ]
  }
]

declareTests(CLIENTS)
