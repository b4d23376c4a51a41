import { resolve } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import test from 'ava'
import { CommandError } from '../src/commands/command.ts'
import { describeFailure } from '../src/commands/failure.ts'
import { firstScreen, type StartedServer } from '../src/commands/first-screen.ts'
import { ageText, bytesText, durationText, rateText } from '../src/commands/human.ts'
import { messageLine } from '../src/commands/message-line.ts'
import { type QueueRow, queueColumns, queueText } from '../src/commands/queues.ts'
import { type SessionRow, sessionText } from '../src/commands/sessions.ts'
import { explainStartFailure } from '../src/commands/start-failure.ts'
import { tableText } from '../src/commands/table.ts'
import { printable } from '../src/commands/terminal.ts'
import { defaultSettings, type Settings } from '../src/config/settings.ts'
import { QueueError } from '../src/errors.ts'

const NOW = Date.parse('2024-05-01T12:00:00Z')
const WIDE = { width: Number.POSITIVE_INFINITY, coloured: false }

test('durations are told in their two largest units', t => {
  const cases: readonly (readonly [number, string])[] = [
    [0, '0 s'],
    [999, '0 s'],
    [59_999, '59 s'],
    [60_000, '1 min'],
    [3_599_000, '59 min 59 s'],
    [7_260_000, '2 h 1 min'],
    [7_205_000, '2 h'],
    [273_600_000, '3 d 4 h']
  ]
  for (const [durationMs, text] of cases) t.is(durationText(durationMs), text)
})

test('ages are never negative, and empty where there is no time', t => {
  const nowMs = Date.parse('2024-05-01T12:00:00Z')
  t.is(ageText('2024-05-01T11:00:00.000Z', nowMs), '1 h')
  t.is(ageText('2024-05-01T12:00:05.000Z', nowMs), '0 s')
  t.is(ageText(null, nowMs), '')
})

test('sizes have three digits and a unit', t => {
  t.deepEqual([0, 999, 1000, 999_499, 999_500, 1_234_567].map(bytesText), [
    '0 B',
    '999 B',
    '1 kB',
    '999 kB',
    '1 MB',
    '1.23 MB'
  ])
})

test('rates have three digits, and a dash when nothing comes', t => {
  t.deepEqual([0, 0.017, 0.5, 12.345, 999, 1_234, null].map(rateText), [
    ...['-', '0.017/s', '0.5/s', '12.3/s', '999/s', '1.23k/s', '?']
  ])
})

test('control characters and turns of direction are made visible', t => {
  t.is(printable('a\u001b[31mb\n\u202ec\u009b'), 'a\\u001b[31mb\\u000a\\u202ec\\u009b')
  t.is(printable('Größe 日本 {"a":1}'), 'Größe 日本 {"a":1}')
})

test('table has a head and one line for each row, aligned', t => {
  const columns = [
    { head: 'NAME', cell: (row: readonly [string, number]) => row[0] },
    { head: 'COUNT', align: 'right' as const, cell: (row: readonly [string, number]) => row[1] },
    { head: 'END', cell: () => 'x' }
  ]
  const rows = [
    ['a', 1],
    ['longer name', 10_000]
  ] as const
  t.is(
    tableText(columns, rows, WIDE),
    'NAME         COUNT  END\na                1  x\nlonger name  10000  x'
  )
})

const PEOPLE = [
  { head: 'NAME', cell: (row: readonly string[]) => row[0] ?? '' },
  { head: 'NOTE', rank: 1, cell: (row: readonly string[]) => row[1] ?? '' },
  { head: 'DETAIL', rank: 2, cell: (row: readonly string[]) => row[2] ?? '' },
  { head: 'COUNT', align: 'right', cell: () => 1_234_567 }
] as const

test('long texts of a table are shortened where the terminal is too narrow, figures never', t => {
  const row = ['someone', 'abcdefghij'.repeat(5), 'klmnopqrst'.repeat(5)]
  const [head, line = ''] = tableText(PEOPLE, [row], { width: 60, coloured: false }).split('\n')
  t.regex(head ?? '', /^NAME +NOTE +DETAIL +COUNT$/)
  t.regex(line, /^someone {2}(abcdefghij)+[a-j]*… {2}(klmnopqrst)+[k-t]*… {2}1234567$/)
  t.true(line.length <= 60 && line.length >= 58, line)
  t.regex(tableText(PEOPLE, [row], { width: 15, coloured: false }), /^someo… {2}1234567$/m)
})

test('columns that matter least are left out where a table is too narrow for all', t => {
  const row = ['someone with a name', 'abcdefghij'.repeat(5), 'klmnopqrst'.repeat(5)]
  const heads = (width: number) =>
    tableText(PEOPLE, [row], { width, coloured: false }).split('\n')[0]?.split(/ +/)
  t.deepEqual(heads(70), ['NAME', 'NOTE', 'DETAIL', 'COUNT'])
  t.deepEqual(heads(50), ['NAME', 'NOTE', 'COUNT'])
  t.deepEqual(heads(30), ['NAME', 'COUNT'])
  t.deepEqual(heads(5), ['NAME', 'COUNT'])
})

test('an optional column of a table is left out when there is nothing in it', t => {
  const columns = [
    { head: 'ID', cell: (row: readonly string[]) => row[0] ?? '' },
    { head: 'USER', isOptional: true, cell: (row: readonly string[]) => row[1] ?? '-' }
  ]
  t.is(tableText(columns, [['a'], ['b']], WIDE), 'ID\na\nb')
  t.is(tableText(columns, [['a'], ['b', 'x']], WIDE), 'ID  USER\na   -\nb   x')
})

test('a table has one line a row, whatever the width', t => {
  const rows = Array.from({ length: 5 }, (_, i) => [`name ${i}`, 'x'.repeat(i * 30), 'y y '.repeat(i * 9)])
  for (let width = 1; width < 130; width++) {
    const lines = tableText(PEOPLE, rows, { width, coloured: false }).split('\n')
    t.is(lines.length, 6)
    if (width >= 15) for (const line of lines) t.true(line.length <= width, `${width}: ${line}`)
  }
})

test('table keeps what strangers wrote from controlling the terminal', t => {
  const text = tableText([{ head: 'ID', cell: (id: string) => id }], ['\u001b[2J'], WIDE)
  t.is(text, 'ID\n\\u001b[2J')
})

test('table is coloured only where that is wanted', t => {
  const columns = [{ head: 'ID', cell: (id: string) => id }]
  const coloured = tableText(columns, ['a'], { width: 80, coloured: true })
  t.is(stripVTControlCharacters(coloured), tableText(columns, ['a'], WIDE))
})

test('queues are shown with their events, unknown backlogs as a question mark', t => {
  const row: QueueRow = {
    queue: 'DB',
    events: [
      { event: 'CREATE', accepted: 3, ratePerSecond: 0.5, lastAcceptedAt: null },
      { event: '', accepted: 1, ratePerSecond: 0, lastAcceptedAt: null }
    ],
    eventCount: 12,
    attached: 2,
    connected: 1,
    backlog: null,
    accepted: 40,
    ratePerSecond: 0.5,
    lastAcceptedAt: '2024-05-01T11:59:00.000Z'
  }
  const [head, line] = tableText(queueColumns(NOW), [row], WIDE).split('\n')
  t.regex(
    head ?? '',
    /^QUEUE\s+EVENTS \(ACCEPTED\)\s+ATTACHED\s+CONNECTED\s+BACKLOG\s+ACCEPTED\s+RATE\s+LAST$/
  )
  t.regex(line ?? '', /^DB\s+CREATE \(3\), \(none\) \(1\), and 10 more\s+2\s+1\s+\?\s+40\s+0\.5\/s\s+1 min$/)
  const text = queueText({ ...row, backlog: 7 }, NOW)
  t.regex(text, /^attached {2}2 sessions, 1 of them connected$/m)
  t.regex(text, /^backlog +7$/m)
  t.regex(text, /^CREATE +3 +0\.5\/s/m)
  t.regex(text, /and 10 more events/)
})

test('one session is shown with its subscriptions and the age of its oldest message', t => {
  const session: SessionRow = {
    id: 'logger',
    connected: false,
    persistent: true,
    state: 'offline',
    queues: ['DB'],
    subscriptions: [{ filter: 'DB/CREATE', qos: 1, createdAt: '2024-05-01T10:00:00.000Z' }],
    backlog: 12,
    inflight: 3,
    oldestAgeMs: 61_000,
    createdAt: '2024-05-01T10:00:00.000Z',
    connectedAt: null,
    disconnectedAt: '2024-05-01T11:55:00.000Z',
    lastActivityAt: '2024-05-01T11:55:00.000Z',
    expirySeconds: 3_600,
    expiresAt: '2024-05-01T12:55:00.000Z'
  }
  const text = sessionText(session, NOW)
  t.regex(text, /^session\s+logger$/m)
  t.regex(text, /^connected\s+no, 5 min$/m)
  t.regex(text, /^backlog\s+12$/m)
  t.regex(text, /^oldest\s+1 min 1 s$/m)
  t.regex(text, /^active\s+5 min ago$/m)
  t.regex(text, /^ends\s+in 55 min \(/m)
  t.regex(text, /^DB\/CREATE\s+1\s+2 h$/m)
  t.regex(sessionText({ ...session, expirySeconds: null, expiresAt: null }, NOW), /^ends\s+never$/m)
  t.regex(sessionText({ ...session, subscriptions: [] }, 0), /It has no subscription\.$/)
})

test('message lines are raw for pipes, visible for terminals, and JSON on request', t => {
  const message = {
    topic: 'DB/CREATE',
    payload: Buffer.from('{"a":"\u001b"}'),
    qos: 1,
    retain: false,
    dup: true
  }
  t.is(messageLine(message, 'raw').toString(), 'DB/CREATE {"a":"\u001b"}\n')
  t.is(messageLine(message, 'terminal').toString(), 'DB/CREATE {"a":"\\u001b"}\n')
  t.deepEqual(JSON.parse(messageLine(message, 'json').toString()), {
    topic: 'DB/CREATE',
    queue: 'DB',
    event: 'CREATE',
    qos: 1,
    retain: false,
    dup: true,
    payload: '{"a":"\u001b"}'
  })
})

test('bytes that are no text keep their values', t => {
  const payload = Buffer.from([0xff, 0x00, 0x0a])
  const message = { topic: 'a', payload, qos: 0, retain: false, dup: false }
  t.deepEqual(messageLine(message, 'raw'), Buffer.concat([Buffer.from('a '), payload, Buffer.from('\n')]))
  const { payloadBase64 } = JSON.parse(messageLine(message, 'json').toString()) as { payloadBase64: string }
  t.deepEqual(Buffer.from(payloadBase64, 'base64'), payload)
})

test('first screen tells what listens where and what to type next, with the real ports', t => {
  const text = screen({
    mqtt: { host: '127.0.0.1', port: 40_001 },
    http: { host: '127.0.0.1', port: 40_002 }
  })
  t.regex(text, /^Restante 9\.9\.9, .* on Aedes 2\.0\.0$/m)
  t.regex(text, /mqtt:\/\/127\.0\.0\.1:40001$/m)
  t.regex(text, /http:\/\/127\.0\.0\.1:40002$/m)
  t.regex(text, /ws:\/\/127\.0\.0\.1:40002\/mqtt$/m)
  t.true(text.includes(`local, in ${resolve('./data')}\n`))
  t.regex(text, /mosquitto_sub -p 40001 -i logger -c -q 1 -t DB\/CREATE$/m)
  t.regex(text, /mosquitto_pub -p 40001 -q 1 -t DB\/CREATE -m '\{"id":1\}'$/m)
  t.regex(text, /npx restante sessions --http http:\/\/127\.0\.0\.1:40002$/m)
  t.regex(text, /curl http:\/\/127\.0\.0\.1:40002\/v1\/sessions\/logger$/m)
  t.notRegex(text, /warning/i)
  t.notRegex(text, /power cut/)
})

test('first screen leaves out what programs use by themselves', t => {
  const text = screen({ mqtt: { host: '127.0.0.1', port: 1883 }, http: { host: '127.0.0.1', port: 8080 } })
  t.regex(text, /mosquitto_sub -i logger/)
  t.regex(text, /npx restante sessions$/m)
})

test('first screen warns of an open address without users, and names an address that can be reached', t => {
  const open = { mqtt: { host: '0.0.0.0', port: 1883 }, http: { host: '::', port: 8080 } }
  t.regex(screen(open), /Warning: it listens on 0\.0\.0\.0 and has no users/)
  t.regex(screen(open), /curl http:\/\/\[::1\]:8080/)
  t.notRegex(screen({ ...open, isGuarded: true }), /Warning/)
  t.regex(screen({ mqtt: { host: '10.1.2.3', port: 1883 } }), /mosquitto_sub -h 10\.1\.2\.3 -i/)
})

for (const [settings, pattern] of [
  [
    { fsync: 'interval', fsyncIntervalMs: 50 },
    /interval: .* power cut may cost what was acked in the last 50 ms/
  ],
  [{ fsync: 'off' }, /off: .* power cut may cost/],
  [{ store: 'memory' }, /memory: everything is gone when the server stops/]
] as const satisfies readonly (readonly [Partial<Settings>, RegExp])[]) {
  test(`first screen tells the risk of ${JSON.stringify(settings)}`, t => {
    t.regex(screen({ settings: defaultSettings(settings) }), pattern)
  })
}

test('first screen names the database and the broker, and no password', t => {
  const mongodbUrl = 'mongodb://user:secret@db.example:27017/restante?authSource=admin'
  const text = screen({ settings: defaultSettings({ store: 'mongodb', mongodbUrl, brokerName: 'broker-1' }) })
  t.regex(text, /Store +mongodb, at mongodb:\/\/user:\*\*\*@db\.example:27017\/restante$/m)
  t.regex(text, /Broker +broker-1$/m)
  t.notRegex(text, /secret|fsync/)
})

test('first screen has no colours unless they are wanted', t => {
  const plain = screen({})
  t.is(plain, stripVTControlCharacters(plain))
  t.is(stripVTControlCharacters(firstScreen(started({}), true)), plain)
})

test('any failure is put into lines with an exit code', t => {
  t.deepEqual(describeFailure(new CommandError('no', { exitCode: 2 })), { lines: ['no'], exitCode: 2 })
  t.deepEqual(describeFailure('text'), { lines: ['text'], exitCode: 1 })
  t.deepEqual(describeFailure(new Error('')), { lines: ['unknown error'], exitCode: 1 })
  t.deepEqual(describeFailure(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })), {
    lines: [],
    exitCode: 0
  })
})

const listen = { syscall: 'listen', address: '127.0.0.1' }
const START_FAILURES: readonly (readonly [{ code: string; [detail: string]: unknown }, RegExp])[] = [
  [
    { code: 'EADDRINUSE', ...listen, port: 1883 },
    /port 1883 is in use by another program: .* with --mqtt-port$/
  ],
  [
    { code: 'EADDRINUSE', ...listen, port: 8080 },
    /port 8080 is in use by another program: .* with --http-port$/
  ],
  [{ code: 'EACCES', ...listen, port: 1883 }, /port 1883 may not be used by this user: .* with --mqtt-port$/],
  [
    { code: 'EACCES', syscall: 'mkdir', path: '/x/data' },
    /^\/x\/data may not be written by this user .* with --data$/
  ],
  [
    { code: 'EADDRNOTAVAIL', ...listen, port: 1883 },
    /^host 127\.0\.0\.1 is no address of this machine: .*--host/
  ],
  [{ code: 'ENOSPC', syscall: 'write' }, /^the disk of \.\/data is full: .*--data/],
  [{ code: 'ENOTDIR', syscall: 'mkdir', path: '/x/file/data' }, /^\/x\/file\/data is no folder: .*--data/],
  [{ code: 'QUEUE_DATA_IN_USE', directory: '/x/data' }, /^the data folder \/x\/data is in use .*--data$/],
  [
    { code: 'QUEUE_DATA_VERSION', file: '/x/VERSION', found: 9, expected: 1 },
    /^\/x\/VERSION has format version 9; this server reads version 1: .*--data$/
  ],
  [{ code: 'QUEUE_PLUGIN_MISSING', plugin: 'a', missing: 'b' }, /^plugin a needs plugin b$/]
]

for (const [failure, line] of START_FAILURES) {
  test(`${failure.code} ${failure.port ?? failure.syscall ?? ''} at the start is told with what to do`, t => {
    const { code, ...detail } = failure
    const error = code.startsWith('QUEUE_')
      ? new QueueError(code as QueueError['code'], { detail })
      : Object.assign(new Error(code), failure)
    const { lines, exitCode } = describeFailure(explainStartFailure(error, defaultSettings()))
    t.is(exitCode, 1)
    t.is(lines.length, 1)
    t.regex(lines[0] ?? '', line)
  })
}

function started(changes: Partial<StartedServer>): StartedServer {
  return {
    settings: defaultSettings(),
    version: '9.9.9',
    aedesVersion: '2.0.0',
    mqtt: { host: '127.0.0.1', port: 1883 },
    http: { host: '127.0.0.1', port: 8080 },
    isGuarded: false,
    ...changes
  }
}

function screen(changes: Partial<StartedServer>): string {
  return firstScreen(started(changes), false)
}
