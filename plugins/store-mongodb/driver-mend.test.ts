import { once } from 'node:events'
import { createRequire } from 'node:module'
import { type AddressInfo, connect, createServer } from 'node:net'
import test from 'ava'
import { mendDriver } from './driver-mend.ts'

interface DriverConnection {
  readonly closed: boolean
  command(namespace: unknown, command: object, options: object): Promise<unknown>
}

mendDriver()
const require = createRequire(import.meta.url)
const { Connection } = require('mongodb/lib/cmap/connection.js')
const { ns } = require('mongodb/lib/utils.js')

test('a command on a connection whose socket has just ended fails, and is not waited for for ever', async t => {
  const server = createServer(socket => socket.on('error', () => {}).resume()).listen(0)
  t.teardown(() => server.close())
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port)
  await once(socket, 'connect')
  const options = { id: 1, generation: 0, hostAddress: 'the server', monitorCommands: false }
  const connection: DriverConnection = new Connection(socket, options)
  socket.destroy()
  t.false(connection.closed, 'the driver does not know yet')
  await t.throwsAsync(connection.command(ns('admin.$cmd'), { hello: 1 }, {}), { message: /closed/ })
})
