import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Log, logRepeated } from "../../shared/runtime/log.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test("an error that repeats is logged once a second, with how many were left out", () => {
  const lines: unknown[][] = [];
  const log = logRepeated(
    { warn: (...line: unknown[]) => lines.push(line) } as unknown as Log,
    "warn",
    "SQS",
  );
  for (let i = 0; i < 100; i += 1) {
    log(new Error(`refused ${i}`));
    vi.advanceTimersByTime(30);
  }
  expect(lines.map(([, text]) => text)).toEqual(["SQS: refused 0", "SQS: refused 34", "SQS: refused 68"]);
  expect(lines.map(([fields]) => (fields as { leftOut?: number }).leftOut)).toEqual([undefined, 33, 33]);
});
