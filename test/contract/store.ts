import type { TestFn } from 'ava'
import { defineLane } from './lane.ts'
import { defineRelease } from './release.ts'
import { defineNotes, defineState } from './rows.ts'
import { type ContractOptions, definersOf } from './under-test.ts'

/** What every store must do. Called once in the test file of a store, for each way it can be set up. */
export function storeContract(test: TestFn, options: ContractOptions): void {
  const definers = definersOf(test, options)
  defineLane(definers)
  defineRelease(definers)
  defineState(definers)
  defineNotes(definers)
}
