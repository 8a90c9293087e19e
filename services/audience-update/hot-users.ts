import type { Update } from "../../shared/domain/envelope.ts";
import { createHeavyHitters } from "../../shared/domain/heavy-hitters.ts";
import type { HotUserPolicy } from "../../shared/domain/hot-user-policy.ts";

/** What becomes of an update that is over its user's limit. */
export type HotVerdict = "apply" | "skip" | "park";

/** A key is a user's, but for what others put on the topic. */
export type HotUser = { key: string; updatesPerSecond: number };

export type HotUsers = {
  /** Counts a message of a key. @returns how many of it have come in this second, at least */
  arrived(key: string): number;
  /** By its tenant's policy; `arrivals` is what `arrived` gave for its message. The same each time it is asked. */
  verdictOf(update: Update, arrivals: number): HotVerdict;
  /** Who had most in the last whole second, of this process. */
  top(): readonly HotUser[];
};

const WINDOW_MS = 1_000;
/** At 20,000 messages a second a count lacks 20 of them at most. */
const MAX_COUNTED_KEYS = 1_024;
const MAX_TOLD = 20;
/** Of what is over the limit, `sample` takes one of so many. */
const DEFAULT_ONE_IN = 10;

/**
 * Who has more than their share, in fixed memory. A user's updates come to one consumer at a time, so that a limit for
 * a user holds without asking anyone; over SQS, and where consumers join or leave, two may count for a moment.
 *
 * @param options.now milliseconds of a clock that never steps
 */
export function createHotUsers(options: {
  policyOf(tenant: string): HotUserPolicy | undefined;
  now(): number;
}): HotUsers {
  const { policyOf, now } = options;
  const counted = createHeavyHitters(MAX_COUNTED_KEYS);
  let beganMs = now();
  let last: readonly HotUser[] = [];

  function endWindow(nowMs: number): void {
    // What came before a pause is not of the last second.
    const users = nowMs - beganMs < 2 * WINDOW_MS ? counted.top(MAX_TOLD) : [];
    last = users.map(({ key, count }) => ({
      key,
      updatesPerSecond: Math.round((count * 1_000) / (nowMs - beganMs)),
    }));
    counted.clear();
    beganMs = nowMs;
  }

  return {
    arrived(key) {
      const nowMs = now();
      if (nowMs - beganMs >= WINDOW_MS) endWindow(nowMs);
      return counted.add(key);
    },
    verdictOf({ tenant, ops }, arrivals) {
      const policy = policyOf(tenant);
      // A tick is the sweeper's own, and costs no more than one a moment.
      if (!policy || arrivals <= policy.updatesPerSecond || ops[0]?.kind === "tick") return "apply";
      if (policy.over === "fold") return "apply";
      if (policy.over === "park") return "park";
      const oneIn = policy.oneIn ?? DEFAULT_ONE_IN;
      return policy.over === "sample" && arrivals % oneIn === 0 ? "apply" : "skip";
    },
    top() {
      if (now() - beganMs >= WINDOW_MS) endWindow(now());
      return last;
    },
  };
}
