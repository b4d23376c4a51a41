/* An Aedes application whose messages are kept. Two lines of it are new: the import and the call of `restante`. */
import { createServer } from 'node:net'
import { Aedes } from 'aedes'
import { restante } from '../src/index.ts' // in an application of your own: from 'restante'

const { PORT = '1883', DATA = './data' } = process.env
const aedes = await Aedes.createBroker()
aedes.authenticate = (_client, name, _password, done) => done(null, name !== 'stranger')
await restante({ aedes, settings: { data: DATA } })
const server = createServer(aedes.handle).listen(Number(PORT), '127.0.0.1')
server.on('listening', () => console.log('listening', server.address()))
process.once('SIGTERM', () => aedes.close(() => process.exit()))
