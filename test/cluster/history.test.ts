import test from 'ava'
import { History, type HistoryEvent } from '../helpers/history.ts'
import { checkHistory, type HistoryRule, matches, missing } from '../helpers/history-check.ts'

// A history is written as one line per event:
//   p1 > m1 topic [qos]       connection p1 sends m1
//   p1 ok m1                  m1 is acked to p1
//   s + filter / s +ok filter SUBSCRIBE goes out / SUBACK comes; `-` and `-ok`: UNSUBSCRIBE and UNSUBACK
//   s @ b1 new|there|clean    session s connects to broker b1
//   s < m1 topic [dup] [held] [qos]
//   s ack m1

const GOOD: Readonly<Record<string, string>> = {
  'a message that was acked and delivered': `
    s @ b1 new; s + a/#; s +ok a/#
    p1 > m1 a/b; p1 ok m1; s < m1 a/b; s ack m1`,
  'a message that was never acked need not come': `
    s @ b1 new; s + a/#; s +ok a/#; p1 > m1 a/b`,
  'a message that was never acked may come': `
    s @ b1 new; s + a/#; s +ok a/#; p1 > m1 a/b; s < m1 a/b`,
  'a message of another topic need not come': `
    s @ b1 new; s + a/+; s +ok a/+; p1 > m1 a; p1 ok m1; p1 > m2 a/b/c; p1 ok m2`,
  'a message that was sent before SUBACK need not come': `
    s @ b1 new; s + a; p1 > m1 a; s +ok a; p1 ok m1`,
  'a message that was sent before SUBSCRIBE and acked after it may come': `
    s @ b1 new; p1 > m1 a; s + a; p1 ok m1; s +ok a; s < m1 a`,
  'a message of a subscription that was never acked may come, or not': `
    s @ b1 new; s + a; p1 > m1 a; p1 ok m1; p1 > m2 a; p1 ok m2; s < m2 a`,
  'what was sent before UNSUBACK may come': `
    s @ b1 new; s + a; s +ok a; p1 > m1 a; p1 ok m1; s - a; p1 > m2 a; p1 ok m2; s -ok a; s < m2 a`,
  'an unsubscription ends every claim': `
    s @ b1 new; s + a; s +ok a; p1 > m1 a; p1 ok m1; s - a; s -ok a`,
  'a second subscription owes only what was sent after it': `
    s @ b1 new; s + a; s +ok a; s - a; s -ok a; p1 > m1 a; p1 ok m1; s + a; s +ok a; p1 > m2 a; p1 ok m2; s < m2 a`,
  'first deliveries are in order though earlier ones are repeated': `
    s @ b1 new; s + a; s +ok a; p1 > m1 a; p1 > m2 a; p1 ok m1; p1 ok m2
    s < m1 a; s < m2 a; s @ b2 there; s < m1 a dup; s < m2 a dup`,
  'connections are not ordered among each other': `
    s @ b1 new; s + a; s +ok a; p1 > m1 a; p1 ok m1; p2 > m2 a; p2 ok m2; s < m2 a; s < m1 a`,
  'a message that went out on two connections has no order and no DUP': `
    s @ b1 new; s + a; s +ok a; p1 > m1 a; p1 > m2 a; p1 ok m1; p2 > m2 a; p2 ok m2
    s < m2 a; s < m1 a; s < m2 a`,
  'a QoS 2 message whose packet id is held comes to the application once': `
    s @ b1 new; s + a; s +ok a; p1 > m1 a 2; p1 ok m1; s < m1 a 2; s @ b2 there; s < m1 a dup held 2`,
  'Clean Start ends every claim': `
    s @ b1 new; s + a; s +ok a; p1 > m1 a; p1 ok m1; s @ b2 clean`,
  'a session without an acked subscription may be new again': `
    s @ b1 new; s + a; s @ b2 new; s + a; s +ok a`,
  'of sessions with the same filter each gets its own': `
    s @ b1 new; s + a; s +ok a; r @ b2 new; r + a; r +ok a; p1 > m1 a; p1 ok m1; s < m1 a; r < m1 a`
}

for (const [name, text] of Object.entries(GOOD)) {
  test(`good: ${name}`, t => t.deepEqual(checkHistory(parse(text)), []))
}

const BAD: readonly (readonly [HistoryRule, string, string, string])[] = [
  ['lost', 'an acked message never came', 's m1', 's @ b1 new; s + a; s +ok a; p1 > m1 a; p1 ok m1'],
  [
    'lost',
    'it came to another session only',
    's m1',
    's @ b1 new; s + a; s +ok a; r @ b1 new; r + a; r +ok a; p1 > m1 a; p1 ok m1; r < m1 a'
  ],
  [
    'lost',
    'it was sent before the second SUBACK of a lasting subscription',
    's m1',
    's @ b1 new; s + a; s +ok a; p1 > m1 a; p1 ok m1; s @ b2 there; s + a; s +ok a'
  ],
  [
    'lost',
    'it was subscribed to again after an unsubscription',
    's m1',
    's @ b1 new; s + a; s +ok a; s - a; s -ok a; s + a; s +ok a; p1 > m1 a; p1 ok m1'
  ],
  [
    'lost',
    'another filter of the session was unsubscribed',
    's m1',
    's @ b1 new; s + a; s +ok a; s + +; s +ok +; s - +; p1 > m1 a; p1 ok m1'
  ],
  [
    'lost',
    'it was acked on the second of two connections',
    's m1',
    's @ b1 new; s + a; s +ok a; p1 > m1 a; p2 > m1 a; p2 ok m1'
  ],
  [
    'order',
    'a later message came first',
    's m1',
    's @ b1 new; s + a; s +ok a; p1 > m1 a; p1 > m2 a; p1 ok m1; p1 ok m2; s < m2 a; s < m1 a'
  ],
  [
    'order',
    'a message came after later ones of other topics',
    's m1',
    's @ b1 new; s + #; s +ok #; p1 > m1 a; p1 > m2 b; p1 ok m1; p1 ok m2; s < m2 b; s @ b2 there; s < m1 a'
  ],
  [
    'twice',
    'a QoS 2 message came again after its end',
    's m1',
    's @ b1 new; s + a; s +ok a; p1 > m1 a 2; p1 ok m1; s < m1 a 2; s ack m1; s < m1 a dup 2'
  ],
  [
    'twice',
    'a QoS 2 message that was sent on two connections of its session came as two',
    's m1',
    's @ b1 new; s + a; s +ok a; p1 > m1 a 2; p2 > m1 a 2; p2 ok m1; s < m1 a 2; s < m1 a 2'
  ],
  ['invented', 'nobody sent it', 's m9', 's @ b1 new; s + a; s +ok a; s < m9 a'],
  [
    'invented',
    'it was sent on another topic',
    's m1',
    's @ b1 new; s + #; s +ok #; p1 > m1 a; p1 ok m1; s < m1 b'
  ],
  [
    'not-entitled',
    'it was over before SUBSCRIBE',
    's m1',
    's @ b1 new; p1 > m1 a; p1 ok m1; s + a; s +ok a; s < m1 a'
  ],
  [
    'not-entitled',
    'it was sent after UNSUBACK',
    's m1',
    's @ b1 new; s + a; s +ok a; s - a; s -ok a; p1 > m1 a; p1 ok m1; s < m1 a'
  ],
  [
    'not-entitled',
    'it was sent between two subscriptions',
    's m1',
    's @ b1 new; s + a; s +ok a; s - a; s -ok a; p1 > m1 a; p1 ok m1; s + a; s +ok a; s < m1 a'
  ],
  [
    'not-entitled',
    'no filter takes its topic',
    's m1',
    's @ b1 new; s + a/+; s +ok a/+; p1 > m1 a; p1 ok m1; s < m1 a'
  ],
  [
    'not-entitled',
    'it was there before Clean Start',
    's m1',
    's @ b1 new; s + a; s +ok a; p1 > m1 a; p1 ok m1; s @ b1 clean; s + a; s +ok a; s < m1 a'
  ],
  [
    'no-dup',
    'a message came again as if for the first time',
    's m1',
    's @ b1 new; s + a; s +ok a; p1 > m1 a; p1 ok m1; s < m1 a; s @ b2 there; s < m1 a'
  ],
  [
    'session-gone',
    'a durable session was not there',
    's ',
    's @ b1 new; s + a; s +ok a; p1 > m1 a; p1 ok m1; s @ b2 new'
  ],
  ['false-ack', 'a connection was acked what another one sent', 'p2 m1', 'p1 > m1 a; p2 ok m1']
]

for (const [rule, name, where, text] of BAD) {
  test(`bad: ${rule}: ${name}`, t => {
    const found = checkHistory(parse(text))
    t.deepEqual(
      found.map(violation => `${violation.rule} ${violation.session} ${violation.message}`),
      [`${rule} ${where}`]
    )
  })
}

test('each violation of a history is found, beside others', t => {
  const found = checkHistory(
    parse(`
      s @ b1 new; s + a; s +ok a; p1 > m1 a; p1 ok m1; p1 > m2 a; p1 ok m2; p1 > m3 a; p1 ok m3
      s < m3 a; s < m2 a; s < m2 a; s < m4 a`)
  )
  t.deepEqual(found.map(({ rule, message }) => `${rule} ${message}`).sort(), [
    'invented m4',
    'lost m1',
    'no-dup m2',
    'order m2'
  ])
})

test('what a session still waits for is known before it is drained', t => {
  const history = parse('s @ b1 new; s + a; s +ok a; p1 > m1 a; p1 ok m1; p1 > m2 a; p1 ok m2; s < m1 a')
  t.deepEqual(missing(history), [{ session: 's', message: 'm2' }])
  history.record(event('s < m2 a'))
  t.deepEqual(missing(history), [])
})

test('a history tells the story of a message', t => {
  const history = parse('s @ b1 new; p1 > m1 a; p1 > m2 a; s < m1 a dup')
  history.record({ kind: 'note', text: 'b1 is killed' })
  const story = history.story('m1')
  t.regex(story, /publish connection=p1 message=m1[\s\S]*receive session=s message=m1[\s\S]*b1 is killed/)
  t.notRegex(story, /m2/)
  t.is(history.count('publish'), 2)
})

test('filters take topics as MQTT says', t => {
  for (const [filter, topic] of ['a a', '# a/b', 'a/# a', 'a/# a/b/c', '+/b a/b', '+/+ /a', 'a/+ a/'].map(
    split
  )) {
    t.true(matches(filter!, topic!), `${filter} ${topic}`)
  }
  for (const [filter, topic] of ['a b', 'a a/b', 'a/+ a', 'a/+ a/b/c', 'a/b/# a', '+ a/b'].map(split)) {
    t.false(matches(filter!, topic!), `${filter} ${topic}`)
  }
})

function split(pair: string): string[] {
  return pair.split(' ')
}

function parse(text: string): History {
  const history = new History()
  const lines = text.split(/[;\n]/).map(line => line.trim())
  for (const line of lines) if (line) history.record(event(line))
  return history
}

function event(line: string): HistoryEvent {
  const [who = '', verb, what = '', ...rest] = line.split(' ')
  const qos = Number(rest.find(word => /^[012]$/.test(word)) ?? 1)
  const topic = rest[0] ?? ''
  switch (verb) {
    case '>':
      return { kind: 'publish', connection: who, message: what, topic, qos }
    case 'ok':
      return { kind: 'accept', connection: who, message: what }
    case '@':
      return {
        kind: 'connect',
        session: who,
        broker: what,
        isPresent: topic === 'there',
        isClean: topic === 'clean'
      }
    case '<': {
      const [isDup, isNew] = [rest.includes('dup'), !rest.includes('held')]
      return { kind: 'receive', session: who, message: what, topic, qos, isDup, isNew }
    }
    case 'ack':
      return { kind: 'ack', session: who, message: what }
  }
  const kind = (
    { '+': 'subscribe', '+ok': 'subscribed', '-': 'unsubscribe', '-ok': 'unsubscribed' } as const
  )[verb as '+' | '+ok' | '-' | '-ok']
  if (!kind) throw new Error(`no such event: ${line}`)
  return { kind, session: who, filter: what }
}
