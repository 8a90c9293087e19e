import { expect, test } from "vitest";
import { createFailoverWatch, type FailoverFacts } from "./failover.ts";

const none = { rescued: 0, overSqs: 0, repeats: 0 };

function facts(
  breaker: FailoverFacts["breaker"],
  path: FailoverFacts["path"],
  pathSinceMs: number,
  totals = none,
): FailoverFacts {
  return { breaker, path, pathSinceMs, totals };
}

test("an outage is told from its beginning to being back on Pulsar, and then stands still", () => {
  const watch = createFailoverWatch();
  watch.broken(1_000, { rescued: 5, overSqs: 7, repeats: 5 });
  watch.observe(
    facts({ state: "open", sinceMs: 2_800 }, "sqs", 2_810, { rescued: 9, overSqs: 20, repeats: 5 }),
  );
  watch.healed(6_000);
  watch.observe(
    facts({ state: "open", sinceMs: 2_800 }, "sqs", 2_810, { rescued: 9, overSqs: 40, repeats: 9 }),
  );
  const end = facts({ state: "closed", sinceMs: 8_000 }, "pulsar", 8_010, {
    rescued: 9,
    overSqs: 50,
    repeats: 9,
  });
  watch.observe(end);
  watch.observe({ ...end, totals: { rescued: 90, overSqs: 500, repeats: 90 } });
  expect(watch.latest()).toEqual({
    brokenAtMs: 1_000,
    breakerOpenedAtMs: 2_800,
    onSqsAtMs: 2_810,
    healedAtMs: 6_000,
    breakerClosedAtMs: 8_000,
    backOnPulsarAtMs: 8_010,
    rescued: 4,
    overSqs: 43,
    repeats: 4,
  });
});

test("an outage that is over before the breaker opens never leaves Pulsar", () => {
  const watch = createFailoverWatch();
  watch.broken(1_000, none);
  watch.healed(1_500);
  watch.observe(facts({ state: "closed", sinceMs: 0 }, "pulsar", 0, { rescued: 2, overSqs: 2, repeats: 1 }));
  expect(watch.latest()).toEqual({
    brokenAtMs: 1_000,
    healedAtMs: 1_500,
    rescued: 2,
    overSqs: 2,
    repeats: 1,
  });
});

test("an outage that begins with the breaker still open is on SQS from its beginning", () => {
  const watch = createFailoverWatch();
  watch.broken(9_000, none);
  watch.observe(facts({ state: "open", sinceMs: 2_000 }, "sqs", 2_010));
  expect(watch.latest()).toMatchObject({ brokenAtMs: 9_000, breakerOpenedAtMs: 9_000, onSqsAtMs: 9_000 });
});
