import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { SubscriptionStats } from "../../shared/ports/subscription-stats.ts";
import {
  judgeSubscription,
  type Quiet,
  quietAfter,
  type SubscriptionReading,
} from "../../shared/routing/subscription-health.ts";

const limits = { maxUnacknowledgedAgeMs: 10_000, stallMs: 5_000 };
const startMs = 1_000_000;
const own = { name: "here-0", permits: 1_000, unacknowledged: 0 };
const empty: SubscriptionStats = {
  backlog: 0,
  oldestPublishMs: undefined,
  delivered: 7,
  consumers: [own],
};
const waiting = { ...empty, backlog: 5, oldestPublishMs: startMs };

/** Takes readings 3 s apart, and gives the verdicts of the last. */
function verdictsOf(readings: readonly { stats: SubscriptionStats; inHand?: number; received?: number }[]) {
  let quiet: Quiet | undefined;
  let verdicts: string[] = [];
  readings.forEach(({ stats, inHand = 0, received = 7 }, index) => {
    const reading: SubscriptionReading = {
      atMs: startMs + (index + 1) * 3_000,
      stats,
      workers: { inHand, received },
      ownPrefix: "here-",
    };
    quiet = quietAfter(quiet, reading);
    verdicts = judgeSubscription(quiet, reading, limits).map(({ verdict }) => verdict);
  });
  return verdicts;
}

const times = <T>(count: number, reading: T): T[] => Array.from({ length: count }, () => reading);

describe("while the workers idle", () => {
  test("messages that wait too long are bad", () => {
    expect(verdictsOf(times(3, { stats: waiting }))).toEqual(["good", "bad"]);
    expect(verdictsOf(times(4, { stats: waiting }))).toEqual(["bad", "bad"]);
  });

  test("messages that the broker thinks are here, and are not, are old but not stalled", () => {
    const lost = { ...waiting, consumers: [{ ...own, unacknowledged: 5 }] };
    expect(verdictsOf(times(5, { stats: lost }))).toEqual(["bad", "good"]);
  });

  test("without free permits nothing is stalled", () => {
    const full = { ...waiting, consumers: [{ ...own, permits: 0 }] };
    expect(verdictsOf(times(5, { stats: full }))[1]).toBe("good");
  });

  test("a stuck consumer elsewhere is no reason", () => {
    const stuck = { ...waiting, consumers: [own, { name: "there-0", permits: 0, unacknowledged: 1 }] };
    expect(verdictsOf(times(50, { stats: stuck }))).toEqual(["unknown", "unknown"]);
  });
});

const anyStats = fc.record({
  backlog: fc.integer({ min: 0, max: 50 }),
  oldestPublishMs: fc.option(fc.integer({ min: 0, max: startMs }), { nil: undefined }),
  delivered: fc.integer({ min: 0, max: 3 }),
  consumers: fc.array(
    fc.record({
      name: fc.constantFrom("here-0", "here-1", "there-0"),
      permits: fc.integer({ min: -5, max: 10 }),
      unacknowledged: fc.integer({ min: 0, max: 5 }),
    }),
    { maxLength: 4 },
  ),
});
const anyReading = fc.record({
  stats: anyStats,
  inHand: fc.integer({ min: 0, max: 2 }),
  received: fc.integer({ min: 0, max: 2 }),
});

test("never bad: an empty backlog, busy workers, messages on the move, messages held elsewhere", () => {
  const innocent = fc
    .tuple(fc.array(anyReading, { maxLength: 20 }), anyReading, fc.integer({ min: 0, max: 3 }))
    .map(([before, last, excuse]) => {
      const { stats } = last;
      const excused = [
        { ...last, stats: { ...stats, backlog: 0 } },
        { ...last, inHand: last.inHand + 1 },
        { ...last, stats: { ...stats, delivered: 99 } },
        {
          ...last,
          stats: {
            ...stats,
            consumers: [...stats.consumers, { ...own, name: "there-9", unacknowledged: 1 }],
          },
        },
      ];
      return [...before, excused[excuse]!];
    });
  fc.assert(
    fc.property(innocent, (readings) => {
      expect(verdictsOf(readings)).not.toContain("bad");
    }),
  );
});
