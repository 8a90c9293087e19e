import { integer } from "./settings.ts";

/** When a health signal is bad, and how often in a row opens the breaker. */
export const signalSettings = {
  canaryPartitions: integer({
    env: "CANARY_PARTITIONS",
    default: "4",
    unit: "partitions",
    min: 1,
    max: 64,
    meaning:
      "partitions of the topic `canaries`, made by the set-up; a canary goes to each at every interval",
  }),
  signalBadReadings: integer({
    env: "SIGNAL_BAD_READINGS",
    default: "3",
    unit: "readings",
    min: 1,
    // With more, a subscription that is stalled is a matter of minutes before anything moves.
    max: 20,
    meaning: "a health signal that is bad so many times in a row opens the breaker",
  }),
  sendLatencyWindowMs: integer({
    env: "SEND_LATENCY_WINDOW_MS",
    default: "5000",
    unit: "ms",
    min: 100,
    max: 600_000,
    meaning: "the p99 of sends to Pulsar is taken over windows of this length",
  }),
  sendLatencyMinSends: integer({
    env: "SEND_LATENCY_MIN_SENDS",
    default: "20",
    unit: "sends",
    min: 1,
    meaning: "a window with fewer successful sends is not judged",
  }),
  sendLatencyFloorMs: integer({
    env: "SEND_LATENCY_FLOOR_MS",
    default: "250",
    unit: "ms",
    min: 1,
    max: 60_000,
    meaning: "a p99 up to this is good, whatever is usual",
  }),
  sendLatencyFactor: integer({
    env: "SEND_LATENCY_FACTOR",
    default: "4",
    unit: "times",
    min: 2,
    max: 1_000,
    meaning: "a p99 up to so many times what is usual is good",
  }),
  sendLatencyBaselineMs: integer({
    env: "SEND_LATENCY_BASELINE_MS",
    default: "300000",
    unit: "ms",
    min: 1_000,
    max: 86_400_000,
    meaning: "what is usual is the mean p99 over about this time; bad windows hardly count in it",
  }),
};
