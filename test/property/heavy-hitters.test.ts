import fc from "fast-check";
import { expect, test } from "vitest";
import { createHeavyHitters } from "../../shared/domain/heavy-hitters.ts";

test("counts are never too high, and too low by no more than the share that one counter stands for", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat({ max: 12 }).map(String), { maxLength: 300 }),
      fc.integer({ min: 1, max: 8 }),
      (keys, size) => {
        const hitters = createHeavyHitters(size);
        const exact = new Map<string, number>();
        for (const key of keys) {
          exact.set(key, (exact.get(key) ?? 0) + 1);
          expect(hitters.add(key)).toBeLessThanOrEqual(exact.get(key)!);
        }
        const found = new Map(hitters.top(100).map(({ key, count }) => [key, count]));
        expect(found.size).toBeLessThanOrEqual(size);
        for (const [key, count] of exact) {
          const counted = found.get(key) ?? 0;
          expect(counted).toBeLessThanOrEqual(count);
          expect(counted).toBeGreaterThanOrEqual(count - Math.floor(keys.length / (size + 1)));
        }
        expect([...found.values()]).toEqual([...found.values()].toSorted((a, b) => b - a));
      },
    ),
    { numRuns: 1_000 },
  );
});
