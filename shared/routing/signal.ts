/** What the health signals have in common, and when one of them opens the breaker. Pure. */

export type Verdict = "good" | "bad" | "unknown";

export type SignalName =
  | "send_failures"
  | "send_latency_p99"
  | "canary"
  | "oldest_unacknowledged"
  | "subscription_stalled";

/** One reading of one signal, as `GET /admin/breaker` lists it. */
export type Signal = {
  name: SignalName;
  /** Of the canary topic; each has a signal of its own. */
  partition?: number;
  /** Null when there is nothing to measure. */
  value: number | null;
  unit: "ms" | "%";
  /** A value above it is bad; null while there is none. */
  limit: number | null;
  verdict: Verdict;
  why: string;
};

/** The readings in a row that were bad, after one more; an unknown one says nothing and so ends the row. */
export function badInARow(before: number, verdict: Verdict): number {
  return verdict === "bad" ? before + 1 : 0;
}

/** The signal's value and limit in words: the reason of an opening. */
export function signalInWords({ name, partition, value, unit, limit, why }: Signal): string {
  const which = partition === undefined ? name : `${name} of partition ${partition}`;
  const measured = value === null ? "no value" : `${value} ${unit}`;
  return `${which}: ${measured}, limit ${limit} ${unit}: ${why}`;
}

/**
 * Only messages show that a subscription works again, and an open breaker sends none. So these two hold it
 * open for `probeAfterMs`; then it closes to try, and opens again when they are still bad.
 */
export const shownByTraffic: ReadonlySet<SignalName> = new Set([
  "oldest_unacknowledged",
  "subscription_stalled",
]);
export const probeAfterMs = 60_000;

/** @returns the first signal for which a breaker that has been open for `openForMs` must stay open. */
export function holdsOpen(signals: readonly Signal[], openForMs: number): Signal | undefined {
  return signals.find(
    ({ name, verdict }) => verdict === "bad" && !(shownByTraffic.has(name) && openForMs >= probeAfterMs),
  );
}
