import type { LoadedSettings } from '../config/load.ts'
import { originText } from '../config/origin.ts'
import { SETTING_KEYS, type SettingKey } from '../config/settings.ts'
import { type Command, EXIT } from './command.ts'
import { settingOptions, settingsInput } from './setting-flags.ts'
import { type Column, tableForm, tableText } from './table.ts'
import { printJson, writeOut } from './terminal.ts'

/** `restante config`: the settings a server would start with, and where each came from. */
export const configCommand: Command = {
  usage: 'config',
  describe: 'Show the settings that a server would start with, and where each comes from',
  options: {
    json: { type: 'boolean', describe: 'Print {"settings", "origins"} as JSON' },
    ...settingOptions()
  },
  examples: [['restante config --config restante.yaml', 'defaults < file < environment < flags']],
  async run(args) {
    const { loadSettings } = await import('../config/load.ts')
    const loaded = loadSettings(settingsInput(args, process.env))
    if (args.json) await printJson(loaded)
    else {
      // a value that was shortened would be a wrong one: the terminal wraps what is too long
      const form = { ...tableForm(), width: Number.POSITIVE_INFINITY }
      await writeOut(`${tableText(columnsOf(loaded), SETTING_KEYS, form)}\n`)
    }
    return EXIT.done
  }
}

function columnsOf({ settings, origins }: LoadedSettings): Column<SettingKey>[] {
  return [
    { head: 'SETTING', cell: key => key },
    { head: 'VALUE', cell: key => valueText(settings[key]) },
    { head: 'FROM', cell: key => originText(origins[key]) }
  ]
}

function valueText(value: unknown): string {
  return typeof value === 'string' && value !== '' ? value : JSON.stringify(value)
}
