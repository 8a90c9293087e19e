import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { createUpdateMetrics } from "../audience-update/update-metrics.ts";
import { createLiveLags } from "./live-lags.ts";

test("lags are of live updates that count, whatever bulk ones wait", () => {
  const lags = createLiveLags();
  const flow = { users: 0, resting: 0, unreadable: 0, messages: 0, bulk: 0, bulkWindow: 0, bytes: 0 };
  const counts = () => ({ ...flow, cachedProfiles: 0 });
  const metrics = createUpdateMetrics(new Registry(), counts, lags.counted);
  metrics.applied("counted", "pulsar", "live", 4);
  metrics.applied("counted", "pulsar", "bulk", 12_209);
  metrics.applied("repeat", "sqs", "live", 9_000);
  metrics.applied("counted", "sqs", "live", -1);
  expect(lags.take()).toEqual([4, 0]);
  expect(lags.take()).toEqual([]);
});
