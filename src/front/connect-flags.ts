/** Bits of the connect flags. @see MQTT 5.0 section 3.1.2.3 */
export const CONNECT_FLAG = {
  reserved: 1,
  clean: 2,
  will: 4,
  willQos: 24,
  willRetain: 32,
  password: 64,
  user: 128
} as const
