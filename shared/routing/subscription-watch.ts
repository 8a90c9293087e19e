import type { ReadSubscription } from "../ports/subscription-stats.ts";
import { toError } from "../runtime/errors.ts";
import type { Signal } from "./signal.ts";
import {
  judgeSubscription,
  type Quiet,
  quietAfter,
  type SubscriptionLimits,
  subscriptionUnknown,
  type Workers,
} from "./subscription-health.ts";

export type SubscriptionWatchOptions = {
  /** Undefined where no admin API is known. */
  read: ReadSubscription | undefined;
  workers(): Workers;
  ownPrefix: string;
  limits: SubscriptionLimits;
  intervalMs: number;
  now(): number;
  report(signal: Signal): void;
};

/** Asks the broker for the subscription's figures, one request at a time. No answer is unknown, never bad. */
export function startSubscriptionWatch(options: SubscriptionWatchOptions): { close(): Promise<void> } {
  const { read, limits, now } = options;
  let quiet: Quiet | undefined;
  let asking: Promise<void> | undefined;

  function unknown(why: string): void {
    for (const signal of subscriptionUnknown(limits, why)) options.report(signal);
  }

  async function ask(readSubscription: ReadSubscription): Promise<void> {
    try {
      const stats = await readSubscription();
      const reading = { atMs: now(), stats, workers: options.workers(), ownPrefix: options.ownPrefix };
      quiet = quietAfter(quiet, reading);
      for (const signal of judgeSubscription(quiet, reading, limits)) options.report(signal);
    } catch (thrown) {
      quiet = undefined;
      unknown(toError(thrown).message);
    }
  }

  if (read === undefined) {
    unknown("PULSAR_ADMIN_URL is not set");
    return { close: () => Promise.resolve() };
  }
  unknown("not asked yet");
  const timer = setInterval(() => {
    asking ??= ask(read).finally(() => {
      asking = undefined;
    });
  }, options.intervalMs);
  return {
    async close() {
      clearInterval(timer);
      await asking;
    },
  };
}
