import { type Check, same } from '../checks.ts'
import { payloadsOf } from './peer.ts'
import type { Version5 } from './version5.ts'

/** Checks of the options of a subscription of MQTT 5. */
export function subscriptionChecks(to: Version5): Check[] {
  return [
    ['a message names the subscriptions it comes from', () => identifiers(to)],
    ['No Local keeps own messages away', () => noLocal(to)],
    ['Retain As Published keeps the flag of live messages', () => retainAsPublished(to)],
    ['Retain Handling says when retained messages come', () => retainHandling(to)]
  ]
}

async function identifiers(to: Version5): Promise<void> {
  const [peer, publisher] = [await to.peer('ids'), await to.peer('ids-pub')]
  for (const [filter, subscriptionIdentifier] of [
    ['ids/#', 7],
    ['ids/+', 268_435_455]
  ] as const) {
    await peer.subscribe(filter, { qos: 1, properties: { subscriptionIdentifier } })
  }
  await peer.subscribe('without/#', { qos: 1 })
  for (const topic of ['ids/a', 'ids/a/b', 'without/a']) await publisher.publish(topic, topic, { qos: 1 })
  await publisher.publish('without/a', 'end', { qos: 1 })
  const got = new Map<string, number[]>()
  for (const { topic, properties } of await peer.before('end')) {
    const told = [properties.subscriptionIdentifier ?? []].flat()
    got.set(
      topic,
      [...(got.get(topic) ?? []), ...told].sort((one, other) => one - other)
    )
  }
  same(
    [...got],
    [
      ['ids/a', [7, 268_435_455]],
      ['ids/a/b', [7]],
      ['without/a', []]
    ]
  )
  await peer.disconnect()
  await publisher.disconnect()
}

async function noLocal(to: Version5): Promise<void> {
  const [peer, publisher] = [await to.peer('no-local'), await to.peer('no-local-pub')]
  await peer.subscribe('no-local/#', { qos: 2, nl: true })
  for (const qos of [0, 1, 2] as const) {
    await peer.publish('no-local/a', `own ${qos}`, { qos })
    await publisher.publish('no-local/a', `other ${qos}`, { qos })
    same((await peer.next()).payload, `other ${qos}`)
  }
  await publisher.publish('no-local/a', 'end', { qos: 2 })
  same(payloadsOf(await peer.before('end')), [])
  await peer.disconnect()
  await publisher.disconnect()
}

async function retainAsPublished(to: Version5): Promise<void> {
  const publisher = await to.peer('as-published-pub')
  for (const rap of [true, false]) {
    const peer = await to.peer(`as-published-${rap}`)
    await peer.subscribe('as-published/#', { qos: 1, rap })
    for (const qos of [0, 1, 2] as const) {
      await publisher.publish('as-published/a', 'kept', { qos, retain: true })
      same((await peer.next()).retain, rap)
      await publisher.publish('as-published/a', 'not kept', { qos })
      same((await peer.next()).retain, false)
    }
    await publisher.publish('as-published/a', '', { qos: 1, retain: true })
    await peer.disconnect()
  }
  await publisher.disconnect()
}

async function retainHandling(to: Version5): Promise<void> {
  const publisher = await to.peer('handling-pub')
  await publisher.publish('handling/a', 'kept', { qos: 1, retain: true })
  for (const [rh, expected] of [
    [0, [['kept'], ['kept']]],
    [1, [['kept'], []]],
    [2, [[], []]]
  ] as const) {
    const peer = await to.peer(`handling-${rh}`)
    for (const once of expected) {
      await peer.subscribe('handling/#', { qos: 1, rh })
      await publisher.publish('handling/b', 'end', { qos: 1 })
      same([rh, payloadsOf(await peer.before('end'))], [rh, once])
    }
    await peer.disconnect()
  }
  await publisher.publish('handling/a', '', { qos: 1, retain: true })
  await publisher.disconnect()
}
