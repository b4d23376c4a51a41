import { createServer } from 'node:net'
import { Aedes } from 'aedes'
// @ts-expect-error it has no types
import mongoPersistence from 'aedes-persistence-mongodb'

const [port, url] = process.argv.slice(2)
const broker = await Aedes.createBroker({ persistence: mongoPersistence({ url }) } as never)
createServer({ noDelay: true }, broker.handle).listen(Number(port), '127.0.0.1')
