import { Client } from 'restante/client'

const PAUSE_MS = 500

/**
 * Follows the events `DB/CREATE` for as long as the page is there. Its session is clean: the server keeps nothing for
 * a page that is away, so the page reads the count anew whenever it is subscribed again.
 * @param {object} follower
 * @param {string} follower.clientId
 * @param {(customer: object) => void} follower.onEvent
 * @param {(signal: AbortSignal) => void} follower.onSubscribed called when every further event will come, until the
 *   signal is aborted: a count that is read from now on leaves no gap
 * @param {(refusal?: string) => void} follower.onLost the connection is gone, or an attempt has failed; with what the
 *   server says if it refuses for good
 */
export async function followCustomers({ clientId, onEvent, onSubscribed, onLost }) {
  const url = new URL('mqtt', location.href)
  url.protocol = url.protocol.replace('http', 'ws')
  for (;;) {
    const client = new Client(url.href, {
      clientId,
      session: 'clean',
      keepAliveSeconds: 10,
      openTimeoutMs: Number.POSITIVE_INFINITY,
      reconnect: { minMs: 250, maxMs: 3_000 }
    })
    client.listen('disconnected', () => onLost())
    client.listen('closed', ({ error }) => error && onLost(error.message))
    try {
      await client.on('DB', 'CREATE', ({ payload }) => onEvent(payload))
      await client.open()
      await untilLost(client, onSubscribed)
    } catch (error) {
      onLost(error.message)
    }
    await client.close({ timeoutMs: 0 })
    await new Promise(resolve => setTimeout(resolve, PAUSE_MS))
  }
}

async function untilLost(client, onSubscribed) {
  const connection = new AbortController()
  const lost = new Promise(resolve => {
    client.listen('disconnected', resolve)
    client.listen('closed', resolve)
  })
  onSubscribed(connection.signal)
  await lost
  connection.abort()
}
