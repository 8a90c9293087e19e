import { problemOfTokens } from "../../shared/http/operators.ts";
import {
  breakerSettings,
  connectionSettings,
  sharedSettings,
} from "../../shared/runtime/connection-settings.ts";
import { publisherSettings } from "../../shared/runtime/publisher-settings.ts";
import { integer, text } from "../../shared/runtime/settings.ts";
import { waitingQueueSettings } from "./waiting-queues.ts";

export const adminSettings = {
  adminHost: text({ env: "ADMIN_HOST", default: "0.0.0.0", meaning: "address of the admin endpoint" }),
  adminPort: integer({
    env: "ADMIN_PORT",
    default: "8090",
    unit: "port",
    min: 0,
    max: 65_535,
    meaning: "port of the admin endpoint; 0 takes a free one",
  }),
  adminToken: text({
    env: "ADMIN_TOKEN",
    secret: true,
    problemOf: problemOfTokens,
    meaning: "bearer token that may force the route; `name=token,name=token` gives each operator their own",
  }),
  readToken: text({
    env: "READ_TOKEN",
    default: "",
    secret: true,
    problemOf: problemOfTokens,
    meaning: "bearer token that may read profiles; when empty, whoever reaches the port may",
  }),
};

export const consumerSettings = {
  pulsarSubscription: text({
    env: "PULSAR_SUBSCRIPTION",
    default: "audience-update",
    pattern: /^[\w.-]{1,128}$/,
    form: "1 to 128 letters, digits, dots, dashes and underscores",
    meaning:
      "the Key_Shared subscription; a new name reads the ledger from its beginning, and parks again what can't apply",
  }),
  pulsarConnections: integer({
    env: "PULSAR_CONNECTIONS",
    default: "4",
    unit: "connections",
    min: 1,
    max: 64,
    meaning:
      "connections that consume by the WebSocket API, each a Key_Shared consumer of its own; the native client has one consumer",
  }),
  pulsarPartitions: integer({
    env: "PULSAR_PARTITIONS",
    default: "4",
    unit: "partitions",
    min: 1,
    max: 1_024,
    meaning:
      "partitions of the topic `updates` when the set-up creates it; `updates-bulk` and `changes` get as many",
  }),
  brokerStatsIntervalMs: integer({
    env: "BROKER_STATS_INTERVAL_MS",
    default: "3000",
    unit: "ms",
    min: 100,
    max: 600_000,
    meaning: "time between two looks at the subscription's figures by `PULSAR_ADMIN_URL`",
  }),
  maxUnacknowledgedAgeMs: integer({
    env: "MAX_UNACKNOWLEDGED_AGE_MS",
    default: "10000",
    unit: "ms",
    min: 100,
    max: 3_600_000,
    meaning: "the oldest unacknowledged message may be this old while the workers idle",
  }),
  subscriptionStallMs: integer({
    env: "SUBSCRIPTION_STALL_MS",
    default: "5000",
    unit: "ms",
    min: 100,
    max: 3_600_000,
    meaning: "messages may wait this long while permits are free, the workers idle and nothing is delivered",
  }),
  sqsPollers: integer({
    env: "SQS_POLLERS",
    default: "4",
    unit: "requests",
    min: 1,
    max: 64,
    meaning: "long polls at once, at each SQS queue",
  }),
  sqsLongPollSeconds: integer({
    env: "SQS_LONG_POLL_SECONDS",
    default: "2",
    unit: "s",
    min: 0,
    max: 20,
    meaning:
      "how long a poll waits for a message; what an abandoned poll takes stays hidden, so longer polls cost less and slow a takeover",
  }),
  sqsVisibilityTimeoutSeconds: integer({
    env: "SQS_VISIBILITY_TIMEOUT_SECONDS",
    default: "60",
    unit: "s",
    min: 5,
    max: 43_200,
    longerThan: { SQS_SEND_TIMEOUT_MS: 2 },
    meaning:
      "how long a received message is hidden; extended at half of it while it is in hand, and so longer than twice `SQS_SEND_TIMEOUT_MS`",
  }),
  ledgerCompletionsPerSecond: integer({
    env: "LEDGER_COMPLETIONS_PER_SECOND",
    default: "2000",
    unit: "updates/s",
    min: 1,
    max: 100_000,
    meaning:
      "of what went over SQS, published to Pulsar by each process at most, and as many membership changes; live updates wait behind more than the consumers have to spare",
  }),
  sweepIntervalMs: integer({
    env: "SWEEP_INTERVAL_MS",
    default: "250",
    unit: "ms",
    min: 10,
    max: 60_000,
    meaning:
      "time between two looks for users for whom a moment has come at which time alone changes something",
  }),
  maxInFlightMessages: integer({
    env: "MAX_IN_FLIGHT_MESSAGES",
    default: "2000",
    unit: "messages",
    min: 1,
    max: 1_000_000,
    meaning: "received and not yet acknowledged, of each queue; at the bound no more are asked for",
  }),
  maxUserSharePercent: integer({
    env: "MAX_USER_SHARE_PERCENT",
    default: "25",
    unit: "%",
    min: 1,
    max: 100,
    meaning:
      "of a queue's messages in flight, what one user may hold whose saves fail while others' don't; what comes beyond is parked",
  }),
  maxInFlightBytes: integer({
    env: "MAX_IN_FLIGHT_BYTES",
    default: "67108864",
    unit: "bytes",
    min: 1_000_000,
    meaning: "the same in bytes",
  }),
  maxUpdatesPerTurn: integer({
    env: "MAX_UPDATES_PER_TURN",
    default: "1000",
    unit: "updates",
    min: 1,
    meaning: "updates of one user that are folded into one write",
  }),
  maxUsersPerRound: integer({
    env: "MAX_USERS_PER_ROUND",
    default: "256",
    unit: "users",
    min: 1,
    meaning: "users whose writes share a pipeline",
  }),
  maxRounds: integer({
    env: "MAX_ROUNDS",
    default: "4",
    unit: "pipelines",
    min: 1,
    max: 256,
    meaning: "pipelines under way at once",
  }),
  maxCacheBytes: integer({
    env: "MAX_CACHE_BYTES",
    default: "67108864",
    unit: "bytes",
    min: 1_000_000,
    max: 17_179_869_184,
    meaning: "memory for cached profiles, about",
  }),
  maxProfileLength: integer({
    env: "MAX_PROFILE_LENGTH",
    default: "1000000",
    unit: "characters",
    min: 1_000,
    longerThan: { MAX_UPDATE_BYTES: 1 },
    meaning:
      "longest encoded profile; an update that would pass it is parked; longer than `MAX_UPDATE_BYTES`, and better some times as long, since each member of a set carries its order; half of it may be the states of calculated attributes: definitions that need more are refused",
  }),
  maxClockSkewMs: integer({
    env: "MAX_CLOCK_SKEW_MS",
    default: "3600000",
    unit: "ms",
    min: 0,
    meaning: "an update whose stamp is further ahead is parked",
  }),
  horizonDays: integer({
    env: "HORIZON_DAYS",
    default: "30",
    unit: "days",
    // SQS keeps a message for 14 days at most, and there are two queues in a row.
    min: 29,
    max: 3_650,
    meaning:
      "longest time from an update's stamp to its last delivery; what is older is parked, not guessed at; at least 29, longer than the two SQS queues together can hold a message",
  }),
  idMemoryHours: integer({
    env: "ID_MEMORY_HOURS",
    default: "24",
    unit: "hours",
    min: 1,
    max: 8_760,
    meaning: "how long a caller's id is remembered for each user",
  }),
  maxRememberedIds: integer({
    env: "MAX_REMEMBERED_IDS",
    default: "32",
    unit: "ids",
    min: 1,
    max: 10_000,
    meaning: "how many of them",
  }),
  maxSources: integer({
    env: "MAX_SOURCES",
    default: "128",
    unit: "sources",
    min: 2,
    max: 100_000,
    meaning: "publishers' incarnations remembered for each user",
  }),
};

/** Every setting of the audience-update service. */
export const audienceUpdateSettings = {
  ...connectionSettings,
  ...waitingQueueSettings,
  ...adminSettings,
  ...breakerSettings,
  ...consumerSettings,
  ...publisherSettings,
  ...sharedSettings,
};
