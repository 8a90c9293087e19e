import fc from "fast-check";
import { expect, test } from "vitest";
import { addSeen, type SeenSource, sight, UNSEEN } from "../../shared/domain/seen.ts";

const numbered = fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { maxLength: 40 });
const odd = (count: number) => Array.from({ length: count }, (_, i) => 2 * i + 1);
/** The stamp of each number is the number itself. */
const seen = (name: string, numbers: readonly number[], from = UNSEEN): SeenSource =>
  numbers.reduce((source, seq) => addSeen(name, source, seq, seq), from);
/** Each run of consecutive numbers as its first and its last. */
const runs = (numbers: readonly number[]) => {
  const had = new Set(numbers);
  return [...had]
    .sort((a, b) => a - b)
    .flatMap((n) => [...(had.has(n - 1) ? [] : [n]), ...(had.has(n + 1) ? [] : [n])]);
};

test("in any order, the numbers seen are kept as their runs, and no other number counts as seen", () => {
  fc.assert(
    fc.property(numbered, (numbers) => {
      const source = seen("s", numbers);
      expect(source).toEqual({
        intervals: runs(numbers),
        lastStamp: Math.max(0, ...numbers),
        blurredTo: 0,
      });
      for (let seq = 1; seq <= 41; seq += 1)
        expect(sight(source, seq)).toBe(numbers.includes(seq) ? "seen" : "new");
    }),
    { numRuns: 1_000 },
  );
});

test("a dense source keeps 4,096 runs; beyond that the lowest gap can't be told any more", () => {
  const full = seen("s", odd(4_096));
  expect(sight(full, 2)).toBe("new");
  const beyond = seen("s", [9_000, 9_001], full);
  expect(beyond.intervals).toEqual([1, 3, ...runs([...odd(4_096).slice(2), 9_000, 9_001])]);
  expect([1, 2, 3, 4, 5].map((seq) => sight(beyond, seq))).toEqual([
    "unknown",
    "unknown",
    "seen",
    "new",
    "seen",
  ]);
});

test("a ledger source keeps 8 runs; what lies in a gap below them belongs to other users", () => {
  const full = seen("ledger:0.0", odd(8));
  expect(sight(full, 2)).toBe("new");
  const beyond = seen("ledger:0.0", [100], full);
  expect(beyond.intervals).toHaveLength(16);
  expect([1, 2, 3, 4, 5].map((seq) => sight(beyond, seq))).toEqual(["seen", "seen", "seen", "new", "seen"]);
});
