import { integer } from "./settings.ts";

/** How a publisher sends. */
export const publisherSettings = {
  publishDeadlineMs: integer({
    env: "PUBLISH_DEADLINE_MS",
    default: "5000",
    unit: "ms",
    min: 100,
    max: 600_000,
    longerThan: { PULSAR_SEND_TIMEOUT_MS: 1, SQS_SEND_TIMEOUT_MS: 1 },
    meaning:
      "a publisher gives up when neither path took an update by then; longer than `PULSAR_SEND_TIMEOUT_MS` and `SQS_SEND_TIMEOUT_MS`, else it would never try the other path",
  }),
  maxUnderWay: integer({
    env: "MAX_UNDER_WAY",
    default: "10000",
    unit: "updates",
    min: 1,
    meaning: "updates that a publisher has under way at once",
  }),
  pulsarMaxPending: integer({
    env: "PULSAR_MAX_PENDING",
    default: "256",
    unit: "messages",
    min: 1,
    max: 100_000,
    meaning:
      "of these, sent to Pulsar and not answered, each a pack of up to 50; the others wait in the publisher",
  }),
  keyGroups: integer({
    env: "KEY_GROUPS",
    default: "64",
    unit: "groups",
    min: 0,
    max: 65_536,
    meaning:
      "groups of users by which the broker shares updates out among consumers, and in which they travel as packs; 16 times the partitions or the consumers, whichever are more, and the same for all publishers; 0: each update by itself, keyed by its user",
  }),
  sqsMaxPending: integer({
    env: "SQS_MAX_PENDING",
    default: "200",
    unit: "updates",
    min: 1,
    max: 100_000,
    meaning: "the same for SQS, at each queue",
  }),
  bulkDelayMs: integer({
    env: "BULK_DELAY_MS",
    default: "1",
    unit: "ms",
    min: 1,
    max: 60_000,
    meaning:
      "bulk updates make way, where they are sent and where they are applied, as soon as what is before them is so much later than at rest, on average",
  }),
  maxNumberedUsers: integer({
    env: "MAX_NUMBERED_USERS",
    default: "200000",
    unit: "users",
    min: 2,
    // About 2 GB; a Map of V8 takes 16 million at most.
    max: 10_000_000,
    meaning: "users whose numbers a publisher remembers",
  }),
  tailMs: integer({
    env: "TAIL_MS",
    default: "5000",
    unit: "ms",
    min: 0,
    max: 600_000,
    meaning:
      "what was sent to Pulsar within this time goes over SQS too when the route moves there; 0: nothing",
  }),
  maxTailUpdates: integer({
    env: "MAX_TAIL_UPDATES",
    default: "20000",
    unit: "updates",
    min: 0,
    max: 1_000_000,
    meaning: "of them, the newest this many, of several SQS queues each its share; 0: none",
  }),
  maxTailBytes: integer({
    env: "MAX_TAIL_BYTES",
    default: "33554432",
    unit: "bytes",
    min: 1_000_000,
    meaning: "memory for their payloads, about, shared as well",
  }),
};
