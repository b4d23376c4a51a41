/** JSON Schema of one setting, in the vocabulary that the configuration uses. */
export type SettingSchema = {
  readonly description: string
  readonly examples?: readonly unknown[]
} & (
  | { readonly type: 'integer'; readonly minimum: number; readonly maximum: number; readonly default: number }
  | { readonly type: 'boolean'; readonly default: boolean }
  | { readonly type: 'string'; readonly enum: readonly string[]; readonly default: string }
  | { readonly type: 'string'; readonly minLength?: number; readonly default: string }
  | {
      readonly type: 'array'
      readonly items: { readonly type: 'string'; readonly pattern: string }
      readonly uniqueItems: true
      readonly default: readonly string[]
    }
  | {
      readonly type: 'object'
      readonly additionalProperties: { readonly type: 'object' }
      readonly default: Readonly<Record<string, object>>
    }
)

const GIBIBYTE = 1_073_741_824

/**
 * Every setting: its key, meaning, bounds and default, said here and nowhere else. Flags, environment variables,
 * help texts, refusals, the `Settings` type and the table in the README are made from it.
 */
export const SETTING_SCHEMAS = {
  host: {
    type: 'string',
    minLength: 1,
    default: '127.0.0.1',
    description: 'Address to listen on, for MQTT and HTTP. 0.0.0.0 or :: is every address of the machine.'
  },
  mqttPort: {
    type: 'integer',
    minimum: 0,
    maximum: 65_535,
    default: 1883,
    description: 'TCP port for MQTT. 0 takes any free one.'
  },
  httpPort: {
    type: 'integer',
    minimum: 0,
    maximum: 65_535,
    default: 8080,
    description: 'TCP port for HTTP and for MQTT over WebSocket (/mqtt). 0 takes any free one.'
  },
  data: {
    type: 'string',
    minLength: 1,
    default: './data',
    description: 'Folder of the local store; made when it is missing. Relative to the current folder.'
  },
  store: {
    type: 'string',
    enum: ['local', 'memory', 'mongodb'],
    default: 'local',
    description:
      'Where messages and sessions are kept: local in the data folder, mongodb in a database that several servers may share, memory until the server stops.'
  },
  mongodbUrl: {
    type: 'string',
    default: '',
    examples: ['mongodb://localhost:27017/restante'],
    description: 'Address of the MongoDB with the name of the database, for the store mongodb.'
  },
  redisUrl: {
    type: 'string',
    default: '',
    examples: ['redis://localhost:6379'],
    description:
      'Address of a Redis that joins the servers (brokers) on one MongoDB: it wakes them up and carries messages of QoS 0. Empty: they look into the database only.'
  },
  brokerName: {
    type: 'string',
    default: '',
    examples: ['broker-1'],
    description:
      'Name of this server among those that share a store: letters, digits, _ and -, at most 64. It should stay the same over restarts. Empty: the name of the machine.'
  },
  brokerTimeoutMs: {
    type: 'integer',
    minimum: 1000,
    maximum: 600_000,
    default: 5000,
    description:
      'Milliseconds without a heartbeat after which the other brokers take one for dead, close its lane and take its sessions over.'
  },
  storeTimeoutMs: {
    type: 'integer',
    minimum: 100,
    maximum: 3_600_000,
    default: 30_000,
    description:
      'Milliseconds that a start, and a publisher, waits for a database that cannot be reached before it is refused.'
  },
  fsync: {
    type: 'string',
    enum: ['always', 'interval', 'off'],
    default: 'always',
    description:
      'When the local store syncs messages to the disk: always before the ack; interval every fsyncIntervalMs; off when the system likes. With interval and off a power cut may cost messages that were acked.'
  },
  fsyncIntervalMs: {
    type: 'integer',
    minimum: 1,
    maximum: 60_000,
    default: 200,
    description: 'Milliseconds between two syncs with fsync interval.'
  },
  logLevel: {
    type: 'string',
    enum: ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
    default: 'info',
    description: 'Least severity that is logged (JSON lines on stderr).'
  },
  readyFile: {
    type: 'string',
    default: '',
    description:
      'File that is written once everything listens (JSON: mqtt and http with host and port, pid) and removed at the stop. Empty: none.'
  },
  maxInflight: {
    type: 'integer',
    minimum: 1,
    maximum: 65_535,
    default: 100,
    description:
      'Most messages of QoS 1 and 2 sent to a session and not yet acked. MQTT 5 clients may ask for fewer (Receive Maximum).'
  },
  receiveMaximum: {
    type: 'integer',
    minimum: 1,
    maximum: 65_535,
    default: 65_535,
    description:
      'Most publishes of QoS 1 and 2 that a client may send before their acks. MQTT 5 clients are told (Receive Maximum); whoever sends more is disconnected.'
  },
  sessionExpirySeconds: {
    type: 'integer',
    minimum: 0,
    maximum: 4_294_967_294,
    default: 0,
    description:
      'Seconds after its disconnect that the session of a client of MQTT 3.1 or 3.1.1 is kept when it asks for one that lasts. 0: for ever.'
  },
  maxSessionExpirySeconds: {
    type: 'integer',
    minimum: 0,
    maximum: 4_294_967_294,
    default: 0,
    description:
      'Most seconds after its disconnect that the session of a client of MQTT 5 is kept; one that asks for more is told. 0: as long as it asks for.'
  },
  willGraceSeconds: {
    type: 'integer',
    minimum: 0,
    maximum: 86_400,
    default: 10,
    description:
      'Seconds after a start that a client which was connected when the server stopped has to resume its session before its will is sent.'
  },
  maxKeepAliveSeconds: {
    type: 'integer',
    minimum: 0,
    maximum: 65_535,
    default: 0,
    description:
      'Longest keep alive of a client of MQTT 5; one that asks for more, or for none, is told (Server Keep Alive). 0: as it asks.'
  },
  topicAliasMaximum: {
    type: 'integer',
    minimum: 0,
    maximum: 65_535,
    default: 32,
    description: 'Topic aliases that a client of MQTT 5 may use on a connection. 0: none.'
  },
  maxTopicAliases: {
    type: 'integer',
    minimum: 0,
    maximum: 65_535,
    default: 32,
    description:
      'Topic aliases used towards a client of MQTT 5 on a connection, as far as it takes them. 0: none.'
  },
  checkPayloadFormat: {
    type: 'boolean',
    default: false,
    description:
      'Whether a payload that is said to be UTF-8 (Payload Format Indicator) is looked at, and refused when it is not.'
  },
  responseInformation: {
    type: 'string',
    default: '',
    description:
      'What a client of MQTT 5 is told that asks for Response Information, such as the prefix of its response topics. Empty: nothing.'
  },
  maxPacketBytes: {
    type: 'integer',
    minimum: 1024,
    maximum: 268_435_460, // [MQTT 2.1.4] the largest packet that the protocol has
    default: 16_777_216,
    description: 'Largest packet taken from a client, in bytes.'
  },
  maxConnectPacketBytes: {
    type: 'integer',
    minimum: 256,
    maximum: 268_435_460,
    default: 262_144,
    description: 'Largest packet taken from a client that is not yet accepted (CONNECT), in bytes.'
  },
  connectTimeoutMs: {
    type: 'integer',
    minimum: 10,
    maximum: 600_000,
    default: 10_000,
    description: 'Milliseconds that a connection has until its CONNECT is accepted.'
  },
  maxTopicLevels: {
    type: 'integer',
    minimum: 1,
    maximum: 65_535,
    default: 100,
    description: 'Most levels of a topic or topic filter.'
  },
  maxSocketBytes: {
    type: 'integer',
    minimum: 1024,
    maximum: GIBIBYTE,
    default: 4_194_304,
    description: 'Bytes waiting to be sent to one connection above which QoS 0 messages for it are dropped.'
  },
  cacheBytes: {
    type: 'integer',
    minimum: 0,
    maximum: 64 * GIBIBYTE,
    default: 33_554_432,
    description: 'Memory for messages read back from the store, in bytes.'
  },
  maxPendingBytes: {
    type: 'integer',
    minimum: 1024,
    maximum: 64 * GIBIBYTE,
    default: 67_108_864,
    description: 'Bytes of messages waiting to be stored above which publishers are held back.'
  },
  checkpointMs: {
    type: 'integer',
    minimum: 10,
    maximum: 600_000,
    default: 5000,
    description: 'Milliseconds between two checkpoints of what each session has received.'
  },
  allowedOrigins: {
    type: 'array',
    items: { type: 'string', pattern: '^https?://[^/\\s]+$' },
    uniqueItems: true,
    default: [],
    examples: ['https://app.example'],
    description: "Origins whose web pages may use HTTP and WebSocket, besides the server's own."
  },
  allowedHosts: {
    type: 'array',
    items: { type: 'string', pattern: '^[^/\\s]+$' },
    uniqueItems: true,
    default: [],
    examples: ['queue.example'],
    description: 'Names by which HTTP may call the server (Host), besides its address and localhost.'
  },
  plugin: {
    type: 'array',
    items: { type: 'string', pattern: '\\S' },
    uniqueItems: true,
    default: [],
    examples: ['./my-plugin.ts'],
    description:
      'Plugins to load besides those built in: files (.ts or .js, relative to the current folder) or names of packages.'
  },
  plugins: {
    type: 'object',
    additionalProperties: { type: 'object' },
    default: {},
    examples: ['{"introspection": {}}'],
    description: 'Options of the plugins, by the name of the plugin.'
  }
} as const satisfies Record<string, SettingSchema>

/** The schema that a complete configuration fulfils; a configuration file may leave out any key. */
export const SETTINGS_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  properties: SETTING_SCHEMAS
} as const
