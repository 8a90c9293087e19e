import { expect, test } from "vitest";
import { createWaitingMailboxes } from "../../services/audience-update/waiting-mailboxes.ts";

const names = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => prefix + index);

test("live ones come first, in their order, and bulk has the places that are left", () => {
  const waiting = createWaitingMailboxes<string>();
  for (const name of names("bulk", 5)) waiting.add(name, "bulk");
  for (const name of names("live", 2)) waiting.add(name, "live");
  expect(waiting.take(4)).toEqual(["live0", "live1", "bulk0", "bulk1"]);
  expect(waiting.take(10)).toEqual(["bulk2", "bulk3", "bulk4"]);
  expect(waiting.size()).toBe(0);
});

test.each([1, 8, 16, 256])(
  "of rounds of %i, one place of sixteen is bulk's though live ones wait",
  (count) => {
    const waiting = createWaitingMailboxes<string>();
    for (const name of names("bulk", 2_000)) waiting.add(name, "bulk");
    let taken = 0;
    let bulk = 0;
    for (let round = 0; taken < 4_096; round += 1) {
      for (const name of names(`live${round}-`, count)) waiting.add(name, "live");
      const chosen = waiting.take(count);
      expect(chosen).toHaveLength(count);
      taken += chosen.length;
      bulk += chosen.filter((name) => name.startsWith("bulk")).length;
    }
    expect(bulk).toBeGreaterThanOrEqual(4_096 / 16 - 1);
    expect(bulk).toBeLessThanOrEqual(4_096 / 16 + 1);
  },
);

test("one that waits as bulk goes over to live, once", () => {
  const waiting = createWaitingMailboxes<string>();
  waiting.add("a", "bulk");
  waiting.add("b", "live");
  waiting.add("a", "live");
  waiting.add("a", "bulk");
  expect(waiting.take(10)).toEqual(["b", "a"]);
});
