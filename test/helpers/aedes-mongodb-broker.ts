import { type AddressInfo, createServer } from 'node:net'
import { Aedes } from 'aedes'
// @ts-expect-error it has no types
import mongoPersistence from 'aedes-persistence-mongodb'

// A plain Aedes on a MongoDB as a process of its own: `node aedes-mongodb-broker.js <url> [<broker id>]`. It prints its port.
const [url, id] = process.argv.slice(2)
const options = { persistence: mongoPersistence({ url }), ...(id === undefined ? {} : { id }) }
const aedes = await Aedes.createBroker(options as never)
const server = createServer({ noDelay: true }, aedes.handle)
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`port ${(server.address() as AddressInfo).port}\n`)
})
