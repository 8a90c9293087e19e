import { expect, test } from "vitest";
import { effectsOf } from "../../services/audience-update/turn-effects.ts";
import { apply } from "../../shared/domain/apply.ts";
import { compileDefinitions } from "../../shared/domain/definitions/compile.ts";
import { isProblem } from "../../shared/domain/definitions/problem.ts";
import type { Operation, Update } from "../../shared/domain/envelope.ts";
import { announcementOf, entersAt } from "../../shared/domain/membership-change.ts";
import { EMPTY_PROFILE, withoutPending } from "../../shared/domain/profile.ts";
import { stampAt } from "../../shared/domain/stamp.ts";
import {
  checkMemberships,
  definitionsDocument,
  isRight,
  type MembershipHistory,
} from "../chaos/memberships.ts";

const NOW_MS = 1_767_225_600_000;
const LIMITS = { horizonMs: 86_400_000, idMemoryMs: 86_400_000, maxIds: 32, maxSources: 128 };
const user = { tenant: "chaos", userId: "u" };
const document = definitionsDocument(NOW_MS);

function update(seq: number, atMs: number, op: Operation): Update {
  return { v: 1, ...user, src: "a", seq, stamp: stampAt(atMs), at: atMs, ops: [op] };
}

/** A view that ends after its minute, then an order: what the services would have left. */
function history(): MembershipHistory {
  const definitions = compileDefinitions(document);
  if (isProblem(definitions)) throw new Error(definitions.message);
  const view = update(1, NOW_MS, { kind: "event", body: { name: "viewed" } });
  const due = NOW_MS + 61_000;
  const tick = update(2, due, { kind: "tick", body: { due } });
  const order: Operation = { kind: "event", body: { name: "ordered", properties: { amount: 3 } } };
  const last = update(3, NOW_MS + 70_000, order);
  const announced: string[] = [];
  const members = new Map<string, Set<string>>();
  let profile = EMPTY_PROFILE;
  for (const each of [view, tick, last]) {
    const before = profile.calculated && withoutPending(profile);
    const { profile: after } = apply(before ?? profile, [each], LIMITS, NOW_MS, definitions);
    const effects = effectsOf(user, before ?? profile, after, [], definitions);
    for (const change of effects?.changes ?? []) {
      announced.push(JSON.stringify(announcementOf(user.tenant, user.userId, change)));
      const own = members.get(change.audience) ?? new Set<string>();
      members.set(change.audience, own);
      if (entersAt(change.number)) own.add("u");
      else own.delete("u");
    }
    profile = after;
  }
  return {
    document,
    happened: new Map([["u", [view, last]]]),
    profiles: new Map([["u", profile]]),
    announced,
    members: new Map([...members].map(([name, users]) => [name, [...users]])),
  };
}

test("what follows from what happened is right", () => {
  const verdict = checkMemberships(history());
  expect(verdict.examples).toEqual([]);
  expect(isRight(verdict)).toBe(true);
  expect(verdict.changes).toBe(5);
});

test("an update that did not count makes values and memberships wrong", () => {
  const right = history();
  const [view] = right.happened.get("u")!;
  const verdict = checkMemberships({ ...right, happened: new Map([["u", [view!]]]) });
  expect(verdict.wrong).toBeGreaterThan(0);
  expect(isRight(verdict)).toBe(false);
});

test("a change that the topic lacks is unannounced, one that is there twice repeated", () => {
  const right = history();
  expect(checkMemberships({ ...right, announced: right.announced.slice(1) }).unannounced).toBe(1);
  const verdict = checkMemberships({ ...right, announced: [...right.announced, right.announced[0]!] });
  expect(verdict).toMatchObject({ repeated: 1, unannounced: 0 });
});

test("a member who is not listed is misplaced", () => {
  const right = history();
  const verdict = checkMemberships({ ...right, members: new Map() });
  expect(verdict.misplaced).toBe(1);
});
