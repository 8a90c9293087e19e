import { expect, test } from "vitest";
import { apply } from "../../shared/domain/apply.ts";
import type { Operation, Update } from "../../shared/domain/envelope.ts";
import { EMPTY_PROFILE } from "../../shared/domain/profile.ts";
import { stampAt } from "../../shared/domain/stamp.ts";
import { checkHistory, type History, isExact, markOf, type ObservedProfile } from "../chaos/history.ts";
import { observed } from "../support/profile-reader.ts";
import { seededOperations, seededRandom } from "../support/seeded-updates.ts";

const NOW_MS = 1_767_225_600_000;
const LIMITS = { horizonMs: 86_400_000, idMemoryMs: 86_400_000, maxIds: 32, maxSources: 128 };

function update(number: number, ops: Operation[], src = "a", stampMs = NOW_MS + number): Update {
  const marked: Operation[] = [...ops, { kind: "add", body: { marks: [`m-${number}`] } }];
  return {
    v: 1,
    tenant: "chaos",
    userId: "u",
    src,
    seq: number,
    stamp: stampAt(stampMs),
    at: NOW_MS,
    ops: marked,
  };
}

const plan = (value: string): Operation[] => [{ kind: "set", body: { plan: value } }];
const points: Operation[] = [
  { kind: "increment", body: { points: 5 } },
  { kind: "event", body: { name: "viewed" } },
];

function profileOf(updates: readonly Update[]): ObservedProfile {
  return observed(apply(EMPTY_PROFILE, updates, LIMITS, NOW_MS).profile);
}

/** A history in which all of `sent` was acknowledged but what `unanswered` says. */
function historyOf(sent: Update[], profile: ObservedProfile | undefined, unanswered: Update[] = []): History {
  return {
    acknowledged: sent,
    intents: [...sent, ...unanswered].map(({ userId, at, ops }) => ({ userId, at, ops, mark: markOf(ops) })),
    profiles: new Map(profile ? [["u", profile]] : []),
  };
}

const sent = [update(1, plan("free")), update(2, points), update(3, plan("pro")), update(4, points)];

test("what the oracle gives is exact, in whatever order it was applied", () => {
  const random = seededRandom(7);
  const many = Array.from({ length: 50 }, (_, index) => update(index + 1, seededOperations(random)));
  const verdict = checkHistory(historyOf(many, profileOf(many.toReversed())));
  expect(verdict.examples).toEqual([]);
  expect(isExact(verdict)).toBe(true);
  expect(verdict.acknowledged).toBe(50);
});

test("an acknowledged update that did not happen is lost", () => {
  const verdict = checkHistory(historyOf(sent, profileOf(sent.toSpliced(2, 1))));
  expect(verdict).toMatchObject({ lost: 1, doubled: 0, outOfOrder: 0, wrongSums: 0 });
  expect(verdict.examples[0]).toContain("m-3");
});

test("a user without a profile has lost everything", () => {
  expect(checkHistory(historyOf(sent, undefined))).toMatchObject({ missingProfiles: 1, lost: 4 });
});

test("an update that counted under a second identity is doubled", () => {
  const again = { ...sent[1]!, src: "b", seq: 1 };
  const verdict = checkHistory(historyOf(sent, profileOf([...sent, again])));
  expect(verdict.doubled).toBe(1);
  expect(isExact(verdict)).toBe(false);
});

test("a register or a set by arrival instead of by stamp is out of order", () => {
  const right = profileOf(sent);
  const wrong = { ...right, attributes: { ...right.attributes, plan: "free" } };
  expect(checkHistory(historyOf(sent, wrong))).toMatchObject({ outOfOrder: 1, lost: 0, wrongSums: 0 });
  const unmarked = { ...right, attributes: { ...right.attributes, marks: ["m-1"] } };
  expect(checkHistory(historyOf(sent, unmarked))).toMatchObject({ outOfOrder: 1 });
});

test("a sum or an event count that is off is found", () => {
  const right = profileOf(sent);
  const sum = { ...right, attributes: { ...right.attributes, points: 15 } };
  expect(checkHistory(historyOf(sent, sum))).toMatchObject({ wrongSums: 1, outOfOrder: 0 });
  const counted = { ...right, events: { viewed: { ...right.events.viewed!, count: 3 } } };
  expect(checkHistory(historyOf(sent, counted))).toMatchObject({ wrongSums: 1 });
  expect(checkHistory(historyOf(sent, { ...right, updates: 3 }))).toMatchObject({ wrongSums: 1 });
});

test("what was not acknowledged may have happened or not, and takes its place in the order", () => {
  const unanswered = update(5, plan("team"), "b", NOW_MS + 10);
  const happened = checkHistory(historyOf(sent, profileOf([unanswered, ...sent]), [unanswered]));
  expect(happened).toMatchObject({ optional: 1, optionalApplied: 1, examples: [] });
  const didNot = checkHistory(historyOf(sent, profileOf(sent), [unanswered]));
  expect(didNot).toMatchObject({ optional: 1, optionalApplied: 0, examples: [] });
  const twice = profileOf([unanswered, { ...unanswered, src: "c" }, ...sent]);
  expect(checkHistory(historyOf(sent, twice, [unanswered]))).toMatchObject({ doubled: 1 });
});

test("what nobody sent, or was acknowledged under another identity, is invented", () => {
  const stranger = update(9, points, "b");
  expect(checkHistory(historyOf(sent, profileOf([...sent, stranger])))).toMatchObject({
    invented: 1,
    doubled: 1,
  });
  const renamed = sent.with(0, { ...sent[0]!, src: "b" });
  expect(checkHistory(historyOf(sent, profileOf(renamed)))).toMatchObject({ invented: 1, lost: 0 });
});
