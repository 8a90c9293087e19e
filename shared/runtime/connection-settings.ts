import { choice, integer, text, url, urls } from "./settings.ts";
import { signalSettings } from "./signal-settings.ts";

/** How to reach the brokers and the store. Publishers need these too. */
export const connectionSettings = {
  pulsarUrl: url({
    env: "PULSAR_URL",
    schemes: ["pulsar", "pulsar+ssl", "ws", "wss"],
    meaning: "Pulsar: `pulsar://host:6650` by the native client, `ws://host:8080` by its WebSocket API",
  }),
  pulsarAdminUrl: url({
    env: "PULSAR_ADMIN_URL",
    schemes: ["http", "https"],
    default: "",
    meaning: "Pulsar's admin API; when given, namespaces, topics and retention are set up at start",
  }),
  pulsarToken: text({
    env: "PULSAR_TOKEN",
    default: "",
    secret: true,
    // It goes into a header; one that was read from a file has often a line end.
    pattern: /^[\x21-\x7e]+$/,
    form: "visible ASCII characters without spaces or a line end",
    meaning: "token for Pulsar's authentication",
  }),
  pulsarNamespace: text({
    env: "PULSAR_NAMESPACE",
    default: "public/keyline",
    pattern: /^[\w.-]+\/[\w.-]+$/,
    form: "tenant/namespace",
    meaning:
      "namespace of the topics `updates`, `updates-bulk`, `changes` and `dead-letter`; canaries use the one with `-health` added",
  }),
  pulsarCompression: choice({
    env: "PULSAR_COMPRESSION",
    default: "lz4",
    choices: ["none", "lz4", "zstd"],
    meaning:
      "how what is published is compressed in the ledger; Pulsar's official clients read it as it was, and topics may hold messages of each kind",
  }),
  pulsarSendTimeoutMs: integer({
    env: "PULSAR_SEND_TIMEOUT_MS",
    default: "800",
    unit: "ms",
    min: 50,
    max: 60_000,
    meaning: "a send without an answer by then goes over SQS",
  }),
  sqsQueueUrl: urls({
    env: "SQS_QUEUE_URL",
    schemes: ["http", "https"],
    end: ".fifo",
    meaning:
      "the SQS FIFO queue, or several, separated by commas, over which users are spread: the same ones in the same order in all processes; region and credentials come from the AWS SDK's own environment",
  }),
  sqsSendTimeoutMs: integer({
    env: "SQS_SEND_TIMEOUT_MS",
    default: "2000",
    unit: "ms",
    min: 50,
    max: 60_000,
    meaning:
      "a send to SQS without an answer by then has failed; so have a delete and an extension of what was received",
  }),
  redisUrl: url({
    env: "REDIS_URL",
    schemes: ["redis", "rediss", "redis+sentinel", "redis+cluster"],
    meaning:
      "the profile store: `redis://host:6379`, `redis+sentinel://host:port,host:port/name`, `redis+cluster://host:port,host:port`",
  }),
  redisKeyPrefix: text({
    env: "REDIS_KEY_PREFIX",
    default: "kl:",
    pattern: /^[^{}\s]{1,64}$/,
    form: "1 to 64 characters without braces and spaces",
    meaning: "starts every key in Redis",
  }),
  redisCommandTimeoutMs: integer({
    env: "REDIS_COMMAND_TIMEOUT_MS",
    default: "2000",
    unit: "ms",
    min: 50,
    max: 60_000,
    meaning: "a command without an answer by then is tried again",
  }),
};

export const breakerSettings = {
  breakerWindowMs: integer({
    env: "BREAKER_WINDOW_MS",
    default: "2000",
    unit: "ms",
    min: 100,
    max: 600_000,
    meaning: "calls to Pulsar of the last so many milliseconds are judged",
  }),
  breakerErrorPercent: integer({
    env: "BREAKER_ERROR_PERCENT",
    default: "50",
    unit: "%",
    min: 1,
    max: 99,
    meaning: "the breaker opens when more than this share of them failed",
  }),
  breakerMinCalls: integer({
    env: "BREAKER_MIN_CALLS",
    default: "3",
    unit: "calls",
    min: 1,
    // What a process with little traffic sends in a window may never be more.
    max: 100,
    meaning: "and when there were at least this many",
  }),
  breakerMinOpenMs: integer({
    env: "BREAKER_MIN_OPEN_MS",
    default: "5000",
    unit: "ms",
    min: 0,
    max: 3_600_000,
    meaning: "it stays open for at least this time",
  }),
  breakerGoodCanaries: integer({
    env: "BREAKER_GOOD_CANARIES",
    default: "5",
    unit: "canaries",
    min: 1,
    max: 1_000,
    meaning: "it closes after this many good canaries in a row",
  }),
  canaryIntervalMs: integer({
    env: "CANARY_INTERVAL_MS",
    default: "500",
    unit: "ms",
    min: 50,
    max: 60_000,
    meaning: "time between two canaries",
  }),
  canaryTimeoutMs: integer({
    env: "CANARY_TIMEOUT_MS",
    default: "800",
    unit: "ms",
    min: 50,
    max: 60_000,
    meaning: "a canary that is not back by then has failed",
  }),
  ...signalSettings,
  voteIntervalMs: integer({
    env: "VOTE_INTERVAL_MS",
    default: "500",
    unit: "ms",
    min: 50,
    max: 60_000,
    meaning: "time between two votes on the fleet's route; an override is heard within this time",
  }),
  voteTtlMs: integer({
    env: "VOTE_TTL_MS",
    default: "3000",
    unit: "ms",
    min: 100,
    max: 600_000,
    longerThan: { VOTE_INTERVAL_MS: 2 },
    meaning:
      "a vote counts for this long; longer than twice `VOTE_INTERVAL_MS`, so that one that is late or lost leaves no gap",
  }),
};

export const sharedSettings = {
  maxUpdateBytes: integer({
    env: "MAX_UPDATE_BYTES",
    default: "131072",
    unit: "bytes",
    min: 1_000,
    max: 200_000,
    meaning: "longest update, as sent",
  }),
  logLevel: choice({
    env: "LOG_LEVEL",
    default: "info",
    choices: ["trace", "debug", "info", "warn", "error", "fatal"],
    meaning: "least level that is logged",
  }),
  shutdownTimeoutMs: integer({
    env: "SHUTDOWN_TIMEOUT_MS",
    default: "10000",
    unit: "ms",
    min: 1_000,
    max: 600_000,
    meaning: "after SIGTERM, what is in hand is finished for at most this time",
  }),
};
