import type { Consumer, Delivery, FallbackConsumer } from "../../shared/ports/update-queue.ts";
import { createBackgroundWindow } from "../../shared/runtime/background-window.ts";
import { createIntake, type Intake } from "./intake.ts";
import type { LedgerKeeper } from "./ledger-keeper.ts";

export type IntakeLimits = {
  /** Messages and bytes in flight, for each queue. */
  maxInFlightMessages: number;
  maxInFlightBytes: number;
  /** How much later live updates may be for bulk ones, on average. */
  bulkDelayMs: number;
};

export type Intakes = {
  /** Live updates from Pulsar. */
  live: Intake;
  bulk: Intake;
  all: readonly Intake[];
  /** How many bulk messages may be in flight now. */
  bulkWindow(): number;
  /** A message of this intake is settled. */
  onSettled(intake: Intake, delivery: Delivery): void;
};

/** So few that nobody feels them, and bulk goes on all the same. */
const MIN_BULK_IN_FLIGHT = 4;
/** More than clocks are apart: live updates that are so old lag, also where they did so from the start. */
const MAX_DELAY_AT_REST_MS = 10_000;
/** The window grows by itself, also while all that is in flight waits for users whose saves fail. */
const RECHECK_BULK_MS = 100;

/**
 * The queues that are consumed side by side. Bulk takes what live updates leave: as soon as these are later than at
 * rest, counted from when Pulsar had them, fewer bulk messages are asked for.
 *
 * @param limits looked at each time, so that they may change
 * @param now milliseconds since the epoch, as the messages' times
 */
export function createIntakes(
  queues: { primary: Consumer; bulk: Consumer; fallback: FallbackConsumer; keeper: LedgerKeeper },
  limits: Readonly<IntakeLimits>,
  now: () => number,
): Intakes {
  const window = createBackgroundWindow({
    min: MIN_BULK_IN_FLIGHT,
    max: () => limits.maxInFlightMessages,
    targetDelayMs: () => limits.bulkDelayMs,
    maxBaseMs: MAX_DELAY_AT_REST_MS,
    now: () => performance.now(),
  });
  const maxBytes = () => limits.maxInFlightBytes;
  const whole = () => ({ maxMessages: limits.maxInFlightMessages, maxBytes: maxBytes() });
  const live = createIntake(queues.primary, whole);
  const bulk = createIntake(queues.bulk, () => ({ maxMessages: window.allowed(), maxBytes: maxBytes() }), {
    priority: "bulk",
    recheckEveryMs: RECHECK_BULK_MS,
  });
  const fallback = createIntake(queues.fallback, whole, { keep: queues.keeper.keep });
  return {
    live,
    bulk,
    all: [live, bulk, fallback],
    bulkWindow: window.allowed,
    onSettled(intake, { publishTimeMs }) {
      if (intake === live) window.observe(now() - publishTimeMs);
    },
  };
}
