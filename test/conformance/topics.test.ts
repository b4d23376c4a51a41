import test from 'ava'
import { arrived, subscriber, VERSIONS } from '../helpers/conformance.ts'
import { startCore } from '../helpers/core.ts'

// MQTT section 4.7

/** A filter, what it matches and what it does not. */
const FILTERS: readonly (readonly [filter: string, matched: readonly string[], not: readonly string[]])[] = [
  [
    'sport/tennis/player1/#',
    ['sport/tennis/player1', 'sport/tennis/player1/ranking', 'sport/tennis/player1/a/b'],
    ['sport/tennis/player2']
  ],
  ['sport/#', ['sport', 'sport/', 'sport/a'], ['sports', 'Sport']],
  ['#', ['a', '/', '/a', 'a/b/c', ' '], ['$x/a']],
  ['sport/+', ['sport/', 'sport/a'], ['sport', 'sport/a/b', 'sport/a/']],
  ['+/+', ['/finance', 'a/b', '/'], ['a', 'a/b/c', '$x/a']],
  ['/+', ['/finance', '/'], ['finance', '/a/b']],
  ['+', ['finance', ' '], ['/finance', 'a/b', '$x']],
  ['+/tennis/#', ['a/tennis', '/tennis/x'], ['tennis', '$x/tennis/a']],
  ['a//b', ['a//b'], ['a/b', 'a///b']],
  ['a/+/b', ['a//b', 'a/x/b'], ['a/b', 'a/x/y/b']],
  ['Ä', ['Ä'], ['ä', 'A\u0308']],
  ['a b', ['a b'], ['a', 'a%20b', 'a  b']],
  ['a/./b', ['a/./b'], ['a/b']]
]

// [MQTT-3.3.2-3], [MQTT-4.7.2-1], [MQTT-4.7.3-4]
for (const [filter, matched, not] of FILTERS) {
  test(`the filter "${filter}" matches what the specification says, and nothing else`, async t => {
    const core = await startCore(t)
    for (const { protocolVersion, name } of VERSIONS) {
      const readers = await Promise.all(
        ([0, 1] as const).map(qos =>
          subscriber(core, filter, { clientId: `reader-${qos}`, protocolVersion, qos })
        )
      )
      const publisher = core.core.broker.aedes
      for (const topic of [...matched, ...not]) {
        for (const qos of [0, 1] as const) {
          const packet = { cmd: 'publish', topic, payload: topic, qos, retain: false, dup: false } as const
          await new Promise<void>((resolve, reject) => {
            publisher.publish(packet, error => (error ? reject(error) : resolve()))
          })
        }
      }
      for (const reader of readers) {
        const came = new Set(await arrived(reader))
        t.deepEqual([...came].sort(), [...matched].sort(), `MQTT ${name}`)
      }
    }
  })
}

// [MQTT-4.7.3-3]
test('topics and filters may have 65,535 bytes', async t => {
  const core = await startCore(t)
  const topic = `${'ä'.repeat(32_767)}x`
  const reader = await subscriber(core, topic)
  const publisher = await core.connect()
  await publisher.publish({ topic, qos: 1 })
  t.is((await reader.next('publish')).topic, topic)
})

// [MQTT-4.7.2-1]
test('what the server publishes under $ comes to those who name it, not to wildcards', async t => {
  const core = await startCore(t)
  const [wild, named] = [
    await subscriber(core, ['#', '+/x', '+/+/#'], { clientId: 'wild' }),
    await subscriber(core, ['$SYS/#', '$SYS/+'], { clientId: 'named' })
  ]
  const packet = { cmd: 'publish', topic: '$SYS/x', payload: 'x', qos: 0, retain: false, dup: false } as const
  await new Promise<void>(resolve => core.core.broker.aedes.publish(packet, () => resolve()))
  t.is((await named.next('publish', ({ topic }) => topic === '$SYS/x')).payload.toString(), 'x')
  t.deepEqual(
    (await arrived(wild)).filter(payload => payload === 'x'),
    []
  )
})
