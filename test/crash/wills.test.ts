import test from 'ava'
import { startServer } from '../helpers/process.ts'
import { RawClient, type RawConnect } from '../helpers/raw-client.ts'

const watcher = { clientId: 'watcher', clean: false } as const

/** A client of a persistent session with a will that says its name. */
function mortal(clientId: string, delaySeconds: number): RawConnect {
  const properties = { willDelayInterval: delaySeconds }
  const will = { topic: `will/${clientId}`, payload: Buffer.from(clientId), qos: 2, retain: false } as const
  return {
    clientId,
    clean: false,
    protocolVersion: 5,
    expirySeconds: 1_000,
    will: { ...will, properties }
  }
}

test('kill -9: wills of lost clients are sent once, those of clients that said goodbye or came back are not', async t => {
  const args = ['--will-grace-seconds', '2']
  const before = await startServer(t, { args })
  const first = await RawClient.connect(before.mqttPort, watcher)
  await first.subscribe('will/#', 2)
  const connect = (name: string, delaySeconds: number) =>
    RawClient.connect(before.mqttPort, mortal(name, delaySeconds))
  const sent = await connect('sent', 0)
  const [waiting, goodbye] = [await connect('waiting', 3), await connect('goodbye', 0)]
  for (const name of ['connected', 'back']) await connect(name, 0)
  await goodbye.disconnect()
  waiting.destroy()
  sent.destroy()
  t.deepEqual(await taken(first, 1), ['sent'])
  await first.disconnect()
  await before.program.kill('SIGKILL')

  const after = await startServer(t, { args, dataDirectory: before.dataDirectory })
  await RawClient.connect(after.mqttPort, mortal('back', 0))
  const second = await RawClient.connect(after.mqttPort, watcher)
  t.deepEqual((await taken(second, 2)).sort(), ['connected', 'waiting'])
  await after.program.kill('SIGKILL')

  const last = await startServer(t, { args, dataDirectory: before.dataDirectory })
  const third = await RawClient.connect(last.mqttPort, watcher)
  // this one was connected when the server was killed again: when it comes, all others have had their time
  t.deepEqual(await taken(third, 1), ['back'])
  await third.ping()
  t.deepEqual(third.unreadMessages(), [])
})

/** The next messages, once the server knows that the receiver has them. */
async function taken(client: RawClient, count: number): Promise<string[]> {
  const messages = await client.messages(count)
  for (const { messageId } of messages)
    await client.next('pubrel', release => release.messageId === messageId)
  return messages.map(({ payload }) => payload.toString())
}
