import { join } from 'node:path'
import test from 'ava'
import { launchServer, startServer, testFolder } from '../helpers/process.ts'
import { RawClient } from '../helpers/raw-client.ts'

test('a second server on the same data folder is refused with a clear error and harms nothing', async t => {
  const folder = testFolder(t)
  const dataDirectory = join(folder, 'data')
  const first = await startServer(t, { dataDirectory })
  const logger = await RawClient.connect(first.mqttPort, { clientId: 'logger', clean: false })
  await logger.subscribe('DB/#')
  const publisher = await RawClient.connect(first.mqttPort, { clientId: 'publisher' })
  await publisher.publish({ topic: 'DB/CREATE', payload: 'before', qos: 1 })

  const second = launchServer(t, { dataDirectory }, join(folder, 'second.json'))
  const exit = await second.exited()
  t.true(exit.code !== null && exit.code !== 0, second.story())
  t.regex(second.stderr, /in use/)
  t.true(second.stderr.includes(dataDirectory), second.stderr)

  await publisher.publish({ topic: 'DB/CREATE', payload: 'after', qos: 1 })
  t.deepEqual(await logger.payloads(2), ['before', 'after'])
  await first.program.kill('SIGKILL')
  const next = await startServer(t, { dataDirectory })
  const resumed = await RawClient.connect(next.mqttPort, { clientId: 'logger', clean: false })
  t.true(resumed.connack?.sessionPresent)
})
