/** Checks a server with `mosquitto_pub` and `mosquitto_sub`: `run.js PORT VERSION`, where VERSION is 3.1, 3.1.1 or 5. */
import { runChecks } from '../checks.ts'
import { EveryVersion } from './every-version.ts'
import { Tools, VERSIONS, type Version } from './tools.ts'
import { Version5 } from './version5.ts'

const [port, version] = process.argv.slice(2)
if (!port || !version || !Object.hasOwn(VERSIONS, version)) throw new Error('usage: run.js PORT 3.1|3.1.1|5')
const tools = new Tools(port, version as Version)
const subject = version === '5' ? new Version5(tools) : new EveryVersion(tools)
process.exitCode = (await runChecks(subject.checks())) ? 0 : 1
await tools.close()
