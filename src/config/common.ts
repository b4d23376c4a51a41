import { hostname } from 'node:os'
import type { CommonSettings } from '../plugin.ts'
import type { Settings } from './settings.ts'

const LONGEST_NAME = 64

/** What plugins may know of the settings; a broker without a name has that of its machine. */
export function commonSettings(settings: Settings): CommonSettings {
  const { data, fsync, fsyncIntervalMs, maxPacketBytes, maxTopicLevels } = settings
  const { mongodbUrl, redisUrl, brokerName, brokerTimeoutMs, storeTimeoutMs } = settings
  return {
    ...{ dataDirectory: data, fsync, fsyncIntervalMs, maxPacketBytes, maxTopicLevels },
    ...{ mongodbUrl, redisUrl, brokerName: brokerName || nameOfMachine(), brokerTimeoutMs, storeTimeoutMs }
  }
}

/** The name of the machine as a name of a broker. */
function nameOfMachine(): string {
  const name = hostname().replace(/[^\w-]+/g, '-')
  return name.slice(0, LONGEST_NAME) || 'broker'
}
