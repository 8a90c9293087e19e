import { Counter, Histogram, type Registry } from "prom-client";
import type { Path } from "../../shared/ports/update-queue.ts";

/** What is counted of membership changes on their way out, and of ticks on their way in. */
export type ChangeMetrics = {
  /** A change is durable on this path. */
  announced(path: Path): void;
  /** Neither path took a change in time; it is tried again. */
  announcementFailed(): void;
  /** Due moments were claimed, the oldest of them so late. */
  ticksClaimed(latenessMs: number): void;
  tickPublished(): void;
  /** Since this process started. */
  changeCounts(): { announced: Record<Path, number>; failed: number; ticks: number };
};

const LATENESS_BUCKETS_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3_600];

export function createChangeMetrics(registry: Registry): ChangeMetrics {
  const registers = [registry];
  const announcements = new Counter({
    name: "keyline_membership_changes_announced_total",
    help: "Membership changes that became durable, by the path that has them; with repeats under one number",
    labelNames: ["path"],
    registers,
  });
  const failures = new Counter({
    name: "keyline_membership_change_failures_total",
    help: "Times that neither path took a membership change in time; it is tried again",
    registers,
  });
  const lateness = new Histogram({
    name: "keyline_tick_lateness_seconds",
    help: "From the oldest due moment of those claimed together to the claim",
    buckets: LATENESS_BUCKETS_SECONDS,
    registers,
  });
  const ticks = new Counter({
    name: "keyline_ticks_published_total",
    help: "Ticks that became durable",
    registers,
  });
  const counts = { announced: { pulsar: 0, sqs: 0 }, failed: 0, ticks: 0 };
  return {
    announced(path) {
      counts.announced[path] += 1;
      announcements.inc({ path });
    },
    announcementFailed() {
      counts.failed += 1;
      failures.inc();
    },
    ticksClaimed: (latenessMs) => lateness.observe(Math.max(0, latenessMs) / 1_000),
    tickPublished() {
      counts.ticks += 1;
      ticks.inc();
    },
    changeCounts: () => ({ ...counts, announced: { ...counts.announced } }),
  };
}
