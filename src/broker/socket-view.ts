import { Duplex, type DuplexOptions } from 'node:stream'

/** What applications ask a connection of their own about, and a stream of ours does not have. */
const MEMBERS = [
  'remoteAddress',
  'remotePort',
  'remoteFamily',
  'localAddress',
  'localPort',
  'localFamily',
  'bytesRead',
  'bytesWritten',
  'encrypted',
  'authorized',
  'authorizationError',
  'alpnProtocol',
  'servername',
  'address',
  'getCertificate',
  'getCipher',
  'getPeerCertificate',
  'getPeerX509Certificate',
  'getProtocol',
  'setKeepAlive',
  'setNoDelay'
] as const

/**
 * The connection that Aedes holds, and shows as `client.conn`: a stream of ours that answers as the client's own
 * connection does when it is asked for addresses or certificates.
 */
export class SocketView extends Duplex {
  /** The client's own connection. */
  readonly socket: Duplex

  constructor(socket: Duplex, options: DuplexOptions) {
    super(options)
    this.socket = socket
  }
}

for (const name of MEMBERS) {
  Object.defineProperty(SocketView.prototype, name, {
    configurable: true,
    get(this: SocketView): unknown {
      const value = (this.socket as unknown as Record<string, unknown>)[name]
      return typeof value === 'function' ? value.bind(this.socket) : value
    }
  })
}
