import CircuitBreaker from "opossum";
import type { Path } from "../ports/update-queue.ts";
import { KeylineError, toError } from "../runtime/errors.ts";
import { fireLean, isNeutral } from "./fire-lean.ts";

export type BreakerOptions = {
  /** Calls of the last so many milliseconds are judged. */
  windowMs: number;
  /** The breaker opens when more than this share of them failed, in percent. */
  errorPercent: number;
  /** ... and when there were at least this many. */
  minCalls: number;
  /** It stays open for at least this time. */
  minOpenMs: number;
  /** It closes after this many good samples in a row. */
  goodSamplesToClose: number;
  /** Called with how long each successful call took. */
  onLatency?(latencyMs: number): void;
  /** True while something else is bad enough for it to stay open. */
  mustStayOpen?(openForMs: number): boolean;
  now(): number;
};

export type BreakerState = {
  state: "closed" | "open";
  sinceMs: number;
  /** Why it is in this state, in plain words. */
  reason: string;
  /** Openings since this process started. */
  openings: number;
  /** Calls and failures within the window. */
  calls: number;
  failures: number;
  /** Calls refused because it was open, since this process started. */
  refused: number;
  goodSamplesInRow: number;
};

export type Breaker = {
  /**
   * Runs a call to Pulsar under the breaker. Rejects with the call's own error, or at once with
   * `breaker_open`.
   *
   * @param weight as how many calls it counts: a pack as many as it holds, else what hangs, and so makes few and full
   *   packs, would be outvoted by what is well. Default 1
   */
  guard<T>(call: () => Promise<T>, weight?: number): Promise<T>;
  /**
   * Runs a health sample: under the breaker while it is closed, beside it while it is open, where samples
   * are what closes it. Never rejects; the result is the error, if there was one.
   */
  sample(call: () => Promise<void>): Promise<Error | undefined>;
  /** Opens it for a reason that opossum does not see; does nothing while it is open. */
  trip(reason: string): void;
  /** Where this process would send by what it sees itself. */
  verdict(): { route: Path; reason: string };
  state(): BreakerState;
  /** Called after each opening and closing. */
  onChange(listener: (state: BreakerState) => void): void;
  close(): void;
};

/** setTimeout's longest delay: opossum never half-opens by itself, closing is decided here. */
const NEVER_MS = 2 ** 31 - 1;
const OPENINGS_WINDOW_MS = 60_000;
const MAX_OPENINGS_IN_WINDOW = 2;

/**
 * The circuit breaker of one process around its calls to Pulsar. opossum counts and opens. Closing is
 * decided here, by samples and dwell instead of by opossum's half-open probe, for which a single success is
 * enough: it needs `goodSamplesToClose` in a row, `minOpenMs` since the opening, and fewer than two openings
 * in the last 60 s, so that whatever the error rate it opens at most twice in any 60 s.
 */
export function createBreaker(options: BreakerOptions): Breaker {
  const { now } = options;
  const circuit = new CircuitBreaker((call: () => Promise<unknown>) => call(), {
    timeout: false,
    errorThresholdPercentage: options.errorPercent,
    volumeThreshold: options.minCalls,
    rollingCountTimeout: options.windowMs,
    rollingCountBuckets: 10,
    // opossum sorts the latencies of the whole window at every failure otherwise
    rollingPercentilesEnabled: false,
    enableSnapshots: false,
    resetTimeout: NEVER_MS,
    errorFilter: isNeutral,
  });
  const openedAtMs: number[] = [];
  const listeners: ((state: BreakerState) => void)[] = [];
  let openings = 0;
  let refused = 0;
  let goodSamplesInRow = 0;
  let sinceMs = now();
  let reason = "no failures yet";
  let lastError = "";
  let tripReason: string | undefined;

  circuit.on("failure", (error: unknown) => {
    lastError = toError(error).message;
  });
  circuit.on("reject", () => {
    refused += 1;
  });
  circuit.on("halfOpen", () => circuit.open());
  circuit.on("open", () => {
    goodSamplesInRow = 0;
    openings += 1;
    openedAtMs.push(now());
    const { failures, fires } = circuit.stats;
    change(
      tripReason ??
        `${failures} of ${fires} calls to Pulsar failed in ${options.windowMs} ms, the last: ${lastError}`,
    );
  });
  circuit.on("close", () => change(`${goodSamplesInRow} good samples in a row`));

  function change(why: string): void {
    sinceMs = now();
    reason = why;
    for (const listener of listeners) listener(state());
  }

  /** A wall clock that was stepped back would otherwise hold it open for as long as the step. */
  function forgetTheFuture(): void {
    sinceMs = Math.min(sinceMs, now());
    for (const [index, atMs] of openedAtMs.entries()) openedAtMs[index] = Math.min(atMs, now());
  }

  function mayClose(): boolean {
    forgetTheFuture();
    while (openedAtMs.length > 0 && openedAtMs[0]! <= now() - OPENINGS_WINDOW_MS) openedAtMs.shift();
    return (
      goodSamplesInRow >= options.goodSamplesToClose &&
      now() - sinceMs >= options.minOpenMs &&
      openedAtMs.length < MAX_OPENINGS_IN_WINDOW &&
      !options.mustStayOpen?.(now() - sinceMs)
    );
  }

  async function sampleWhileOpen(call: () => Promise<void>): Promise<Error | undefined> {
    try {
      await call();
    } catch (error) {
      goodSamplesInRow = 0;
      return toError(error);
    }
    goodSamplesInRow += 1;
    if (circuit.opened && mayClose()) circuit.close();
    return undefined;
  }

  function state(): BreakerState {
    const { fires, failures } = circuit.stats;
    return {
      state: circuit.opened ? "open" : "closed",
      sinceMs,
      reason,
      openings,
      calls: fires,
      failures,
      refused,
      goodSamplesInRow,
    };
  }

  return {
    guard(call, weight = 1) {
      if (!circuit.opened) return fireLean(circuit, call, options, weight);
      refused += 1;
      const error = new KeylineError("breaker_open", `the breaker is open: ${reason}`, { retryable: true });
      return Promise.reject(error);
    },
    async sample(call) {
      if (circuit.opened) return sampleWhileOpen(call);
      return circuit.fire(call).then(
        () => undefined,
        (error: unknown) => toError(error),
      );
    },
    trip(why) {
      tripReason = why;
      circuit.open();
      tripReason = undefined;
    },
    verdict: () => ({ route: circuit.opened ? "sqs" : "pulsar", reason }),
    state,
    onChange: (listener) => void listeners.push(listener),
    close: () => circuit.shutdown(),
  };
}
