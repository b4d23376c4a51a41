import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { addUser, RIGHTS } from '../api-server/users.ts'
import { Child, type Listener } from './child.ts'

/** Where everything listens; 0 is any free port. */
export interface Ports {
  readonly mqttPort: number
  readonly httpPort: number
  readonly apiPort: number
  readonly dashboardPort: number
}

/** The programs of the demo, running. */
export interface Programs {
  readonly mqttUrl: string
  /** HTTP address of the queue server. */
  readonly queueUrl: string
  readonly apiUrl: string
  readonly dashboardUrl: string
  /** For the API server. */
  readonly token: string
  /** Lets the logger and the monitor go away. */
  leave(): Promise<void>
  /** Starts the logger and the monitor again. */
  comeBack(): Promise<void>
}

/**
 * Starts the server and the four applications, each as a process of its own.
 * @param children is given each program before it starts, so that all can be stopped whatever happens.
 */
export async function startPrograms(
  data: string,
  ports: Ports,
  children: Child[],
  listener: Listener
): Promise<Programs> {
  const child = (name: string, ...command: readonly string[]) => {
    const made = new Child(name, command, listener)
    children.push(made)
    return made
  }
  const folder = (name: string) => join(data, name)

  const flags = [
    '--mqtt-port',
    `${ports.mqttPort}`,
    '--http-port',
    `${ports.httpPort}`,
    '--log-level',
    'warn'
  ]
  const server = child('server', '../../src/commands/main.js', 'start', '--data', folder('server'), ...flags)
  const [mqttUrl = '', queueUrl = ''] = await server.start(/MQTT +(mqtt:\S+)\s+HTTP +(http:\S+)/)

  mkdirSync(folder('api-server'), { recursive: true })
  const users = join(folder('api-server'), 'users.json')
  const token = addUser(users, 'demo', RIGHTS)
  const tokenFile = join(data, 'dashboard.token')
  writeFileSync(tokenFile, addUser(users, 'dashboard', ['customers:read']), { mode: 0o600 })

  const [api, logger, monitor] = ['api-server', 'logger', 'monitor'].map(name =>
    child(name, `../${name}/main.js`, '--queue-url', mqttUrl, '--data', folder(name), ...portOf(name, ports))
  ) as [Child, Child, Child]
  const [apiUrl = ''] = await api.start(/API server: (\S+)/)
  const comeBack = async () => {
    await Promise.all([logger, monitor].map(program => program.start(/connected to /)))
  }
  await comeBack()

  const places = ['--api-url', apiUrl, '--token-file', tokenFile, '--queue-url', queueUrl]
  const dashboard = child('dashboard', '../dashboard/main.js', ...places, '--port', `${ports.dashboardPort}`)
  const [dashboardUrl = ''] = await dashboard.start(/dashboard: (\S+)/)

  const leave = async () => {
    await Promise.all([logger.stop(), monitor.stop()])
  }
  return { mqttUrl, queueUrl, apiUrl, dashboardUrl, token, leave, comeBack }
}

function portOf(name: string, { apiPort }: Ports): string[] {
  return name === 'api-server' ? ['--port', `${apiPort}`] : []
}
