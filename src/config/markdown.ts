import { flagOf, variableOf } from './names.ts'
import { SETTING_KEYS, type SettingKey, schemaOf } from './settings.ts'
import { expectation } from './wording.ts'

/** The lines between which the README has the table. */
export const SETTINGS_MARKERS = { begin: '<!-- settings -->', end: '<!-- /settings -->' }

/** The table of all settings for the README, in Markdown, made from the schema. */
export function settingsMarkdown(): string {
  const head = ['| key | flag | variable | default | takes | what it does |', '|---|---|---|---|---|---|']
  return [...head, ...SETTING_KEYS.map(row)].join('\n')
}

/**
 * A page with its table made anew.
 * @returns null when the page has no markers.
 */
export function withSettingsTable(page: string): string | null {
  const begin = page.indexOf(SETTINGS_MARKERS.begin)
  const end = page.indexOf(SETTINGS_MARKERS.end)
  if (begin < 0 || end < begin) return null
  const before = page.slice(0, begin + SETTINGS_MARKERS.begin.length)
  return `${before}\n${settingsMarkdown()}\n${page.slice(end)}`
}

function row(key: SettingKey): string {
  const schema = schemaOf(key)
  const fallback = JSON.stringify(schema.default)
  const cells = [
    code(key),
    code(`--${flagOf(key)}`),
    code(variableOf(key)),
    code(fallback),
    expectation(schema),
    schema.description
  ]
  return `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

function code(text: string): string {
  return `\`${text}\``
}
