import type { MqttClient } from 'mqtt'
import { parser } from 'mqtt-packet'
import { Signal } from '../../helpers/signal.ts'

/**
 * Reads along with a connected client of MQTT 5. The library takes the next packet up only when the application is
 * done with the one before, so what the server really sends is seen on the wire alone.
 */
export class WireTap {
  /** The most messages of QoS 1 and 2 that were unacked at the same time. */
  mostUnacked = 0
  #unacked = 0
  readonly #answers = new Set<string>()
  readonly #signal = new Signal()

  constructor(client: MqttClient) {
    const packets = parser({ protocolVersion: 5 })
    packets.on('packet', packet => {
      if (packet.cmd === 'publish' && packet.qos > 0) this.#unacked += 1
      this.mostUnacked = Math.max(this.mostUnacked, this.#unacked)
      this.#answers.add(packet.cmd)
      this.#signal.notify()
    })
    client.stream.on('data', (bytes: Buffer) => packets.parse(bytes))
    client.on('packetsend', packet => {
      if (packet.cmd === 'puback' || packet.cmd === 'pubcomp') this.#unacked -= 1
    })
  }

  /** Waits until the server has sent a packet of this kind. */
  seen(command: string): Promise<boolean> {
    return this.#signal.until(() => this.#answers.has(command), { describe: () => `a ${command}` })
  }
}
