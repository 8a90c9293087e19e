/** A store that went back: what was saved and lost gave versions and slots, and profiles may have been folded with it. */
import { expect, test } from "vitest";
import { effectsOf } from "../../services/audience-update/turn-effects.ts";
import { calculatedView } from "../../shared/domain/calculated-view.ts";
import { type CompiledDefinitions, compileDefinitions } from "../../shared/domain/definitions/compile.ts";
import { isProblem } from "../../shared/domain/definitions/problem.ts";
import {
  NO_TENANT_DEFINITIONS,
  replaceDefinitions,
  type TenantDefinitions,
} from "../../shared/domain/definitions/tenant-definitions.ts";
import { explain } from "../../shared/domain/explain.ts";
import { lastChangeIn } from "../../shared/domain/last-change.ts";
import { type Profile, withoutPending } from "../../shared/domain/profile.ts";
import { order, profileAfter } from "../support/stored-profile.ts";

const SAVED_MS = 1_767_225_600_000;
const orders = { event: "order_completed", aggregate: "count" };
const kept = { attributes: { orders }, audiences: { buyers: { rule: "orders > 0" } } };

type Version = { document: TenantDefinitions; compiled: CompiledDefinitions };

function saved(before: TenantDefinitions, input: object, nowMs: number): Version {
  const document = replaceDefinitions(before, input, nowMs);
  if (isProblem(document)) throw new Error(document.message);
  const compiled = compileDefinitions(document);
  if (isProblem(compiled)) throw new Error(compiled.message);
  return { document, compiled };
}

const first = saved(NO_TENANT_DEFINITIONS, kept, SAVED_MS);
const lost = saved(
  first.document,
  {
    attributes: { ...kept.attributes, spend: { event: "order_completed", aggregate: "sum", of: "amount" } },
    audiences: { ...kept.audiences, rich: { rule: "spend > 10.0" } },
  },
  SAVED_MS + 1_000,
);
const other = saved(
  first.document,
  {
    attributes: {
      ...kept.attributes,
      latest: { event: "order_completed", aggregate: "list", of: "shoe", limit: 3 },
    },
    audiences: { ...kept.audiences, shod: { rule: "size(latest) > 0" } },
  },
  SAVED_MS + 3_000,
);
const at = SAVED_MS + 2_000;
const folded = profileAfter([{ at, ops: [order({ amount: 20 })] }], lost.compiled);

test("a version that was lost is not given again, and the slots of the two mean something else", () => {
  expect(other.document.version).toBeGreaterThan(lost.document.version);
  expect(other.document.attributes.latest!.standing.slot).toBe(lost.document.attributes.spend!.standing.slot);
  expect(other.document.audiences.shod!.standing.slot).toBe(lost.document.audiences.rich!.standing.slot);
});

test("what a profile has of lost definitions is read as nothing else's, and what was there before goes on", () => {
  expect(calculatedView(folded, lost.compiled)).toMatchObject({
    ...{ attributes: { orders: 1, spend: 20 }, audiences: ["buyers", "rich"] },
  });
  expect(calculatedView(folded, other.compiled)).toMatchObject({
    ...{ attributes: { orders: 1, latest: [] }, audiences: ["buyers"] },
  });
  expect(lastChangeIn(folded, other.document.audiences.shod!.standing)).toBeUndefined();
  const { member, lastChange } = explain(folded, other.document, other.compiled, "shod", at)!;
  expect([member, lastChange]).toEqual([false, null]);
});

test("it is folded on as if they had never been", () => {
  const more = { profile: folded, firstSeq: 2 };
  const after = profileAfter([{ at, ops: [order({ shoe: 41 })] }], other.compiled, more);
  expect(calculatedView(after, other.compiled)).toMatchObject({
    ...{ attributes: { orders: 2, latest: [41] }, audiences: ["buyers", "shod"] },
  });
  expect(lastChangeIn(after, other.document.audiences.shod!.standing)).toMatchObject({ number: 1, atMs: at });
});

test("changes that are pending in a lost audience are announced of no other", () => {
  const user = { tenant: "shop", userId: "u" };
  const repeat = [{ outcome: "repeat" as const, stamp: 0 }];
  const { changes, members } = effectsOf(user, folded, folded, repeat, other.compiled)!;
  expect(changes.map(({ audience }) => audience)).toEqual(["buyers"]);
  expect(members.map(({ audience }) => audience)).toEqual(["buyers"]);
});

test("versions go on from the dense ones of earlier builds, and grow where the clock stands", () => {
  const dense = saved({ ...first.document, version: 7 }, { attributes: {}, audiences: {} }, SAVED_MS);
  expect(dense.document.version).toBe(SAVED_MS);
  expect(saved(dense.document, kept, SAVED_MS - 60_000).document.version).toBe(SAVED_MS + 1);
});

test("a change that a lost version made is told to the list of the version that is there again", () => {
  const buyersOnce = (rule: string) => ({ ...kept, audiences: { buyers: { rule } } });
  const once = saved(NO_TENANT_DEFINITIONS, buyersOnce("orders == 1"), SAVED_MS);
  const lostOnce = saved(once.document, buyersOnce("orders == 1 && true"), SAVED_MS + 1_000);
  const afterOrder = (seq: number, { compiled }: Version, profile?: Profile) => {
    const said = [{ at: SAVED_MS + seq * 1_000, ops: [order()] }];
    return withoutPending(profileAfter(said, compiled, { ...(profile && { profile }), firstSeq: seq }));
  };
  const entered = afterOrder(1, once);
  const left = afterOrder(2, lostOnce, entered);
  const again = profileAfter([{ at: SAVED_MS + 3_000, ops: [order()] }], once.compiled, {
    profile: left,
    firstSeq: 3,
  });
  const user = { tenant: "shop", userId: "u" };
  const { members, changes } = effectsOf(user, left, again, [], once.compiled)!;
  const { version } = once.document.audiences.buyers!.standing;
  expect(members).toEqual([{ ...user, audience: "buyers", version, number: 2 }]);
  expect(changes).toEqual([]);
});
