/**
 * What definitions cost and where they fail, counted as they are computed. No part of a result: a clock is given by
 * whoever wants times, and one evaluation in `SAMPLED` is timed.
 */
export type Cost = {
  /** Occurrences counted, expressions run. */
  evaluations: number;
  /** Of which were timed, and how long these took. */
  timed: number;
  timedMs: number;
  failures: number;
  /** The last failure, in the library's words. */
  lastError: string | undefined;
  /** Events that came after their window had passed. */
  late: number;
  /** Values of the wrong kind, or too long. */
  skipped: number;
};

/** Reads a monotonic clock, in milliseconds with a fraction. */
export type ClockMs = () => number;

export function createCost(): Cost {
  return { evaluations: 0, timed: 0, timedMs: 0, failures: 0, lastError: undefined, late: 0, skipped: 0 };
}

const SAMPLED = 64;
const MAX_ERROR_LENGTH = 300;

/** Counts one evaluation that begins; when it is one to be timed, the moment. */
export function begin(cost: Cost, clockMs: ClockMs | undefined): number | undefined {
  cost.evaluations += 1;
  return clockMs !== undefined && cost.evaluations % SAMPLED === 0 ? clockMs() : undefined;
}

export function end(cost: Cost, clockMs: ClockMs | undefined, begunMs: number | undefined): void {
  if (clockMs === undefined || begunMs === undefined) return;
  cost.timed += 1;
  cost.timedMs += clockMs() - begunMs;
}

export function failed(cost: Cost, error: unknown): void {
  cost.failures += 1;
  const text =
    error instanceof Error ? ((error as { summary?: string }).summary ?? error.message) : String(error);
  cost.lastError = text.slice(0, MAX_ERROR_LENGTH);
}
