/** Checks a server with MQTT.js: `run.js URL VERSION`, where VERSION is 3.1, 3.1.1 or 5. */
import { runChecks } from '../checks.ts'
import { EveryVersion } from './every-version.ts'
import { closeAll, LEVELS, type Version } from './peer.ts'
import { Version5 } from './version5.ts'

const [url, version] = process.argv.slice(2)
if (!url || !version || !Object.hasOwn(LEVELS, version)) throw new Error('usage: run.js URL 3.1|3.1.1|5')
const subject = version === '5' ? new Version5(url) : new EveryVersion(url, version as Version)
process.exitCode = (await runChecks(subject.checks())) ? 0 : 1
closeAll()
