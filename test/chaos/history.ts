/**
 * The history check: what publishers were promised against what the store holds. Pure.
 *
 * Every update carries a mark of its own, a member of the set `marks`. The profile's machinery keeps for each
 * member which write put it there (stamp, src, seq). So the profile itself says which of the updates that were
 * sent without an acknowledgement have happened, and where in the order they stand.
 */
import { isDeepStrictEqual } from "node:util";
import type { Update } from "../../shared/domain/envelope.ts";
import type { WriteOrder } from "../../shared/domain/stamp.ts";
import { type ExpectedProfile, expectedProfile } from "../support/oracle.ts";
import type { Intent } from "../support/publisher-process.ts";

export type ObservedProfile = ExpectedProfile & { marks: ReadonlyMap<string, WriteOrder> };

export type History = {
  acknowledged: readonly Update[];
  /** Everything that was about to be sent, acknowledged afterwards or not. */
  intents: readonly Intent[];
  /** By user; a user without a profile is absent. */
  profiles: ReadonlyMap<string, ObservedProfile>;
};

export type Verdict = {
  acknowledged: number;
  /** Without an acknowledgement: each may have happened once or not at all. */
  optional: number;
  optionalApplied: number;
  /** Acknowledged updates that did not happen. */
  lost: number;
  /** Users with acknowledged updates and no profile at all; their updates count as lost too. */
  missingProfiles: number;
  /** Updates counted more often than once. */
  doubled: number;
  /** Registers and sets whose value is not that of the last write by stamp. */
  outOfOrder: number;
  /** Sums, event counts and numbers of updates that are wrong in another way. */
  wrongSums: number;
  /** Marks that nobody sent, or that stand under another identity than the acknowledged one. */
  invented: number;
  /** The first findings in words. */
  examples: string[];
};

type Finding = "lost" | "missingProfiles" | "doubled" | "outOfOrder" | "wrongSums" | "invented";
type Find = (finding: Finding, text: string, count?: number) => void;
type Sent = { acknowledged: Update[]; intents: Intent[] };

const MAX_EXAMPLES = 20;

export function checkHistory({ acknowledged, intents, profiles }: History): Verdict {
  const verdict: Verdict = {
    acknowledged: acknowledged.length,
    optional: intents.length - acknowledged.length,
    optionalApplied: 0,
    ...{ lost: 0, missingProfiles: 0, doubled: 0, outOfOrder: 0, wrongSums: 0, invented: 0 },
    examples: [],
  };
  const sent = new Map<string, Sent>();
  const of = (userId: string) => {
    const known = sent.get(userId) ?? { acknowledged: [], intents: [] };
    sent.set(userId, known);
    return known;
  };
  for (const update of acknowledged) of(update.userId).acknowledged.push(update);
  for (const intent of intents) of(intent.userId).intents.push(intent);
  for (const userId of profiles.keys()) of(userId);
  for (const [userId, own] of sent) {
    const find: Find = (finding, text, count = 1) => {
      verdict[finding] += count;
      if (verdict.examples.length < MAX_EXAMPLES) verdict.examples.push(`${userId}: ${finding}: ${text}`);
    };
    const profile = profiles.get(userId);
    if (profile) verdict.optionalApplied += checkUser(own, profile, find);
    else if (own.acknowledged.length > 0) {
      find("missingProfiles", "no profile");
      find("lost", "all", own.acknowledged.length);
    }
  }
  return verdict;
}

/** The updates that have happened to each user, as far as the profiles tell. */
export function happenedOf({ acknowledged, intents, profiles }: History): Map<string, Update[]> {
  const byMark = new Map(acknowledged.map((update) => [markOf(update.ops), update]));
  const happened = new Map<string, Update[]>();
  for (const { mark, userId, at, ops } of intents) {
    const order = profiles.get(userId)?.marks.get(mark);
    if (!order) continue;
    const update = byMark.get(mark) ?? { v: 1, tenant: "chaos", userId, at, ops, ...order };
    const own = happened.get(userId);
    if (own) own.push(update);
    else happened.set(userId, [update]);
  }
  return happened;
}

export function isExact(verdict: Verdict): boolean {
  const { lost, missingProfiles, doubled, outOfOrder, wrongSums, invented } = verdict;
  return lost + missingProfiles + doubled + outOfOrder + wrongSums + invented === 0;
}

/** @returns how many of the optional updates have happened. */
function checkUser({ acknowledged, intents }: Sent, profile: ObservedProfile, find: Find): number {
  const byMark = new Map(acknowledged.map((update) => [markOf(update.ops), update]));
  const applied: Update[] = [];
  for (const [mark, update] of byMark) {
    const order = profile.marks.get(mark);
    if (!order) find("lost", `${mark} is not in the profile`);
    else applied.push(update);
    if (order && !isDeepStrictEqual(order, orderOf(update)))
      find("invented", `${mark} was ${JSON.stringify(orderOf(update))}, is ${JSON.stringify(order)}`);
  }
  const optional = intents.filter(({ mark }) => !byMark.has(mark) && profile.marks.has(mark));
  for (const { mark, userId, at, ops } of optional)
    applied.push({ v: 1, tenant: "chaos", userId, at, ops, ...profile.marks.get(mark)! });
  const sent = new Set(intents.map(({ mark }) => mark));
  for (const mark of profile.marks.keys()) if (!sent.has(mark)) find("invented", `nobody sent ${mark}`);
  compare(profile, expectedProfile(applied), applied, find);
  return optional.length;
}

function compare(actual: ObservedProfile, expected: ExpectedProfile, applied: Update[], find: Find): void {
  const surplus = actual.updates - expected.updates;
  if (surplus > 0) find("doubled", `${actual.updates} updates counted, ${expected.updates} sent`, surplus);
  if (surplus < 0) find("wrongSums", `${actual.updates} updates counted, ${expected.updates} in it`);
  const summed = new Set(
    applied.flatMap(({ ops }) => ops.flatMap((op) => (op.kind === "increment" ? Object.keys(op.body) : []))),
  );
  const differing = (a: Record<string, unknown>, b: Record<string, unknown>) =>
    [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((key) => !isDeepStrictEqual(a[key], b[key]));
  for (const name of differing(actual.attributes, expected.attributes)) {
    const text = `${name} is ${JSON.stringify(actual.attributes[name])}, must be ${JSON.stringify(expected.attributes[name])}`;
    find(summed.has(name) ? "wrongSums" : "outOfOrder", text);
  }
  for (const name of differing(actual.events, expected.events)) {
    const text = `events ${name} are ${JSON.stringify(actual.events[name])}, must be ${JSON.stringify(expected.events[name])}`;
    find("wrongSums", text);
  }
}

/** The mark of an update's operations; every update of these publishers has one. */
export function markOf(ops: Update["ops"]): string {
  for (const op of ops) if (op.kind === "add" && op.body.marks) return String(op.body.marks[0]);
  throw new Error(`an update without a mark: ${JSON.stringify(ops)}`);
}

function orderOf({ stamp, src, seq }: Update): WriteOrder {
  return { stamp, src, seq };
}
