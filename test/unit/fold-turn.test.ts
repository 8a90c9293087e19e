import { expect, test } from "vitest";
import { type Arrival, type Base, foldTurn } from "../../services/audience-update/fold-turn.ts";
import { EMPTY_PROFILE } from "../../shared/domain/profile.ts";
import { stampAt } from "../../shared/domain/stamp.ts";

const DAY_MS = 86_400_000;
const NOW_MS = Date.UTC(2026, 10, 21);
const limits = {
  maxProfileLength: 1_000_000,
  horizonMs: 30 * DAY_MS,
  maxSources: 128,
  maxIds: 32,
  idMemoryMs: DAY_MS,
};
const nobody: Base = { profile: EMPTY_PROFILE, lastUpdate: undefined };

function arrival(seq: number, body: Record<string, unknown>, path = "pulsar"): Arrival {
  const user = { tenant: "shop", userId: "42" };
  const ops = [{ kind: "set" as const, body }];
  return { update: { v: 1, ...user, src: "s", seq, stamp: stampAt(NOW_MS) + seq, at: NOW_MS, ops }, path };
}

const filler = "x".repeat(limits.maxProfileLength - 300);
const full = () => foldTurn(nobody, [arrival(1, { filler })], limits, NOW_MS);
const outcomes = ({ fates }: { fates: { outcome: string }[] }) => fates.map(({ outcome }) => outcome);

test("what fits of a turn is counted and the rest of it refused, one by one", () => {
  const updates = [arrival(2, { a: 1 }), arrival(3, { b: filler }), arrival(4, { c: 1 })];
  const turn = foldTurn(full(), updates, limits, NOW_MS);
  expect(outcomes(turn)).toEqual(["counted", "refused", "counted"]);
  expect([...turn.profile.registers.keys()]).toEqual(["filler", "a", "c"]);
  expect(turn.lastUpdate?.id).toBe("s-4");
});

test("a thousand updates that a full profile has no room for are left to later turns but for a few", () => {
  const thousand = Array.from({ length: 1_000 }, (_, n) => arrival(n + 2, { [`more${n}`]: "y".repeat(400) }));
  const turn = foldTurn(full(), thousand, limits, NOW_MS);
  expect(new Set(outcomes(turn))).toEqual(new Set(["refused"]));
  expect(turn.fates.length).toBeGreaterThan(0);
  expect(turn.fates.length).toBeLessThan(10);
});

test("a small profile's turn is folded to its end, however many of it are refused", () => {
  const updates = Array.from({ length: 500 }, (_, n) => {
    const good = arrival(n + 1, { n });
    return n % 2 ? good : { ...good, update: { ...good.update, ops: undefined! } };
  });
  expect(foldTurn(nobody, updates, limits, NOW_MS).fates).toHaveLength(500);
});

test("a repeat changes nothing of what was last counted, and is not refused where the profile is full", () => {
  const base = foldTurn(full(), [arrival(2, { a: "z".repeat(100) }, "sqs")], limits, NOW_MS);
  const tight = { ...limits, maxProfileLength: 1_000 };
  const later = foldTurn(base, [arrival(1, { filler })], tight, NOW_MS + 2 * DAY_MS);
  expect(outcomes(later)).toEqual(["repeat"]);
  expect(later.machinery).toContain('"s-2"');
  expect(later.lastUpdate).toEqual(base.lastUpdate);
});

test("where nothing counted there is nothing to save for a user without a record", () => {
  const early = { ...arrival(1, { a: 1 }), update: { ...arrival(1, { a: 1 }).update, stamp: 0 } };
  expect(foldTurn(nobody, [early], limits, NOW_MS)).toMatchObject({
    machinery: undefined,
    profile: EMPTY_PROFILE,
  });
});
