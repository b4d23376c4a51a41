import { systemClock } from '../clock.ts'
import { type Command, CommandError, EXIT, textArgument } from './command.ts'
import { type Fact, factsText } from './facts.ts'
import { addressOption, askBytes, askJson, httpBase } from './http-client.ts'
import { ageText, bytesText } from './human.ts'
import type { MessageRow } from './messages.ts'
import { printable, printJson, writeOut } from './terminal.ts'

/** `restante message`: one kept message, whole. */
export const messageCommand: Command = {
  usage: 'message <id>',
  describe: 'Show one kept message with its payload',
  positionals: { id: { describe: 'Its id, as "restante messages" shows it: lane-1:42' } },
  options: {
    raw: { type: 'boolean', describe: 'Write only the payload, byte for byte' },
    json: { type: 'boolean', describe: 'Print JSON' },
    ...addressOption
  },
  examples: [
    ['restante message lane-1:42', 'all about it'],
    ['restante message lane-1:42 --raw > payload.bin', 'its payload as a file']
  ],
  async run(args) {
    if (args.raw && args.json)
      throw new CommandError('--raw and --json exclude each other', { exitCode: EXIT.usage })
    const base = httpBase(args)
    const path = `v1/messages/${encodeURIComponent(textArgument(args, 'id') ?? '')}`
    if (args.raw) await writeOut(await askBytes(base, `${path}?payload=raw`))
    else {
      const row = (await askJson(base, path)) as MessageRow
      if (args.json) await printJson(row)
      else await writeOut(`${messageText(row, systemClock.now())}\n`)
    }
    return EXIT.done
  }
}

/** All about one message, as text: its payload last, on lines of its own. */
export function messageText(row: MessageRow, nowMs: number): string {
  const { properties } = row
  const facts: Fact[] = [
    ['id', row.id],
    ['topic', row.topic],
    ['queue', row.queue],
    ['event', row.event || '-'],
    ['qos', row.qos],
    ['retained', row.retained ? 'yes' : 'no'],
    ['publisher', row.publisher ?? '-'],
    [
      'accepted',
      row.acceptedAt === null ? null : `${row.acceptedAt} (${ageText(row.acceptedAt, nowMs)} ago)`
    ],
    ['expires', row.expiresAt ?? 'never']
  ]
  if (properties?.contentType) facts.push(['content type', properties.contentType])
  if (properties?.responseTopic) facts.push(['response topic', properties.responseTopic])
  if (properties?.correlationData) facts.push(['correlation', `base64:${properties.correlationData}`])
  for (const [name, values] of Object.entries(properties?.userProperties ?? {})) {
    for (const value of values) facts.push([`+ ${name}`, value])
  }
  facts.push(['payload', `${bytesText(row.payloadBytes)}${row.encoding === 'base64' ? ', in base64' : ''}`])
  const rest = row.cut ? '\n… and more: --raw writes all of it' : ''
  return `${factsText(facts)}\n\n${row.payload.split('\n').map(printable).join('\n')}${rest}`
}
