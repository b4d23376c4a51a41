import test from 'ava'
import { storeContract } from '../../test/contract/store.ts'
import { aloneStore } from '../../test/helpers/mongo-store.ts'
import { mongodbOfFile } from '../../test/helpers/mongodb.ts'
import { makeClusterPart } from './cluster/index.ts'

const mongodb = mongodbOfFile(test)

storeContract(test, {
  name: 'store-mongodb',
  isSerial: true,
  // FerretDB looks at all rows for each that it changes, and a start moves all sessions to the new incarnation
  manyRows: process.env.RESTANTE_TEST_LONG ? 3_000 : 200,
  create: async t => {
    const url = mongodb.database(t)
    if (!url) return undefined
    const make = () => aloneStore(url, { makeClusterPart }).store
    // the newest message stays: it tells where the lane goes on
    return { store: make(), again: make, emptyLaneBytes: 1_100 }
  }
})
