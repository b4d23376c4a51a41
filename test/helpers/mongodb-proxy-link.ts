import type { Socket } from 'node:net'
import type { Document } from 'mongodb'
import { errorAnswer, type Judgement, type MongodbCommand, writeConcernAnswer } from './mongodb-faults.ts'
import { type MongodbFrame, MongodbFramer, readMessage, writeMessage } from './mongodb-wire.ts'

/** Called with the answer of the server in place of passing it on. */
type Answered = (frame: MongodbFrame) => void

/** A connection of a driver, and the one to the server that belongs to it. */
export class MongodbLink {
  readonly #client: Socket
  readonly #server: Socket
  readonly #judge: (command: MongodbCommand) => Judgement | null
  /** By the id of the request. */
  readonly #answered = new Map<number, Answered>()
  /** A late command is held for this connection, which has no client any more. */
  #isKept = false

  constructor(client: Socket, server: Socket, judge: (command: MongodbCommand) => Judgement | null) {
    this.#client = client
    this.#server = server
    this.#judge = judge
    const [commands, answers] = [new MongodbFramer(), new MongodbFramer()]
    client.on('data', (bytes: Buffer) => {
      for (const frame of commands.take(bytes)) this.#command(frame)
    })
    server.on('data', (bytes: Buffer) => {
      for (const frame of answers.take(bytes)) this.#answer(frame)
    })
    client.on('error', () => {}) // 'close' comes as well
    server.on('error', () => {})
    client.on('close', () => this.#isKept || server.destroy())
    server.on('close', () => client.destroy())
  }

  /** Closes both sides. */
  end(): void {
    this.#isKept = false
    this.#client.destroy()
    this.#server.destroy()
  }

  #command(frame: MongodbFrame): void {
    const command = commandOf(frame)
    const judgement = command && this.#judge(command)
    if (!judgement) this.#server.write(frame.bytes)
    else this.#fail(frame, command, judgement)
  }

  #answer(frame: MongodbFrame): void {
    const answered = this.#answered.get(frame.responseTo)
    this.#answered.delete(frame.responseTo)
    if (answered) answered(frame)
    else if (this.#client.writable) this.#client.write(frame.bytes)
  }

  #fail(frame: MongodbFrame, command: MongodbCommand, judgement: Judgement): void {
    const { fault, happened } = judgement
    switch (fault.kind) {
      case 'error':
        this.#reply(frame, errorAnswer(fault.code))
        happened()
        break
      case 'lost-before':
        this.#reset()
        happened()
        break
      case 'lost-after':
        this.#pass(frame, frame.bytes, () => {
          this.#reset()
          happened()
        })
        break
      case 'partial':
        this.#pass(frame, firstDocuments(frame, command, fault.documents), () => {
          if (fault.answer === 'reset') this.#reset()
          else this.#reply(frame, errorAnswer(10107))
          happened()
        })
        break
      case 'write-concern-error':
        this.#pass(frame, frame.bytes, answer => {
          this.#reply(frame, writeConcernAnswer(readMessage(answer)?.body ?? {}, fault.code))
          happened()
        })
        break
      case 'late':
        this.#keep(frame, judgement)
    }
  }

  /** The client sees a reset, the server nothing until the command is delivered. */
  #keep(frame: MongodbFrame, { happened, held }: Judgement): void {
    this.#isKept = true
    this.#client.resetAndDestroy()
    held(
      () =>
        new Promise<Document>((resolve, reject) => {
          this.#server.once('close', () => reject(new Error('the server closed the connection')))
          this.#pass(frame, frame.bytes, answer => {
            resolve(readMessage(answer, true)?.body ?? {})
            this.end()
          })
        })
    )
    happened()
  }

  /** Has the server do a command, and keeps the answer. Of no document there is nothing to do. */
  #pass(frame: MongodbFrame, bytes: Buffer | null, answered: Answered): void {
    if (bytes) {
      this.#answered.set(frame.requestId, answered)
      this.#server.write(bytes)
    } else answered(frame)
  }

  #reply({ requestId }: MongodbFrame, body: Document): void {
    if (this.#client.writable) this.#client.write(writeMessage(0, requestId, body))
  }

  #reset(): void {
    this.#client.resetAndDestroy()
  }
}

function commandOf(frame: MongodbFrame): MongodbCommand | null {
  const message = readMessage(frame)
  if (!message) return null
  const name = Object.keys(message.body)[0] ?? ''
  const target: unknown = name === 'getMore' ? message.body.collection : message.body[name]
  return { name, collection: typeof target === 'string' ? target : '', body: message.body }
}

/** The same insert with its first documents only; null for none. */
function firstDocuments(frame: MongodbFrame, { name, body }: MongodbCommand, count: number): Buffer | null {
  const documents: unknown = body.documents
  if (name !== 'insert' || !Array.isArray(documents)) throw new Error(`${name} has no documents to cut`)
  if (count === 0) return null
  return writeMessage(frame.requestId, 0, { ...body, documents: documents.slice(0, count) })
}
