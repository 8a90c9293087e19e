/** What was computed and announced of the users against what happened to them. Pure. */
import { isDeepStrictEqual } from "node:util";
import { calculatedView } from "../../shared/domain/calculated-view.ts";
import { compileDefinitions } from "../../shared/domain/definitions/compile.ts";
import { isProblem } from "../../shared/domain/definitions/problem.ts";
import {
  NO_TENANT_DEFINITIONS,
  replaceDefinitions,
  type TenantDefinitions,
} from "../../shared/domain/definitions/tenant-definitions.ts";
import type { Update } from "../../shared/domain/envelope.ts";
import { type AnnouncedChange, entersAt } from "../../shared/domain/membership-change.ts";
import type { Profile } from "../../shared/domain/profile.ts";
import { type DefinitionsInput, recompute } from "../support/recompute.ts";

export const DEFINITIONS: DefinitionsInput = {
  attributes: {
    views_1m: { event: "viewed", aggregate: "count", window: "1m" },
    spend: { event: "ordered", aggregate: "sum", of: "amount" },
    seen_2m: { event: "viewed", aggregate: "exists", window: "2m" },
    idle_days: { event: "ordered", aggregate: "days_since" },
    heat: { derive: "double(views_1m) + spend" },
  },
  audiences: {
    active: { rule: "views_1m >= 1" },
    buyers: { rule: "spend >= 3.0 && idle_days < 1.0" },
    lookers: { rule: "seen_2m && spend == 0.0" },
    vips: { rule: "'vip' in tags && points > 100.0" },
    hot_vips: { rule: "vips && heat >= 2.0" },
  },
};

export function definitionsDocument(nowMs: number): TenantDefinitions {
  const document = replaceDefinitions(NO_TENANT_DEFINITIONS, DEFINITIONS, nowMs);
  if (isProblem(document)) throw new Error(`${document.path}: ${document.message}`);
  return document;
}

export type MembershipHistory = {
  document: TenantDefinitions;
  /** What has happened to each user, without ticks. */
  happened: ReadonlyMap<string, readonly Update[]>;
  profiles: ReadonlyMap<string, Profile>;
  /** The topic's payloads, in the order in which they were read: right for each key. */
  announced: readonly string[];
  /** By audience. */
  members: ReadonlyMap<string, readonly string[]>;
};

export type MembershipVerdict = {
  /** Changes of membership that the profiles know of. */
  changes: number;
  /** Attributes and memberships of profiles that are not what follows from what happened. */
  wrong: number;
  /** Users who are listed and are no members, or the reverse. */
  misplaced: number;
  /** Changes that the topic lacks, has under two contents, or that never happened. */
  unannounced: number;
  /** Messages on the topic that were there before. */
  repeated: number;
  /** Changes that came after a later one, which went another way. */
  overtaken: number;
  /** The first findings in words. */
  examples: string[];
};

const MAX_EXAMPLES = 20;

export function checkMemberships(history: MembershipHistory): MembershipVerdict {
  const { document, happened, profiles } = history;
  const verdict: MembershipVerdict = {
    ...{ changes: 0, wrong: 0, misplaced: 0, unannounced: 0, repeated: 0, overtaken: 0 },
    examples: [],
  };
  const find = (finding: "wrong" | "misplaced" | "unannounced", text: string) => {
    verdict[finding] += 1;
    if (verdict.examples.length < MAX_EXAMPLES) verdict.examples.push(`${finding}: ${text}`);
  };
  const definitions = compileDefinitions(document);
  if (isProblem(definitions)) throw new Error(`${definitions.path}: ${definitions.message}`);
  const last = new Map<string, number>();
  const members = new Map<string, Set<string>>();
  for (const [userId, profile] of profiles) {
    const asOfMs = profile.calculated?.asOfMs ?? 0;
    const expected = recompute(DEFINITIONS, happened.get(userId) ?? [], [asOfMs]);
    const actual = calculatedView(profile, definitions);
    for (const name of Object.keys(DEFINITIONS.attributes))
      if (!isDeepStrictEqual(actual.attributes[name], expected.attributes[name]))
        find(
          "wrong",
          `${userId}: ${name} is ${JSON.stringify(actual.attributes[name])}, must be ${JSON.stringify(expected.attributes[name])}`,
        );
    if (expected.asOf !== asOfMs) find("wrong", `${userId} is as of ${asOfMs}, must be ${expected.asOf}`);
    for (const name of new Set(actual.audiences).symmetricDifference(new Set(expected.audiences)))
      find("wrong", `${userId} is ${actual.audiences.includes(name) ? "" : "not "}in ${name}`);
    for (const name of actual.audiences)
      members.set(name, (members.get(name) ?? new Set<string>()).add(userId));
    const { numbers = [] } = profile.calculated ?? {};
    for (let at = 0; at < numbers.length; at += 2) {
      const audience = definitions.audienceSlots.get(numbers[at]!)!;
      last.set(`${userId} ${audience.name} ${audience.generation}`, numbers[at + 1]!);
      verdict.changes += numbers[at + 1]!;
    }
  }
  checkTopic(history.announced, last, verdict, (text) => find("unannounced", text));
  for (const name of Object.keys(DEFINITIONS.audiences)) {
    const listed = new Set(history.members.get(name) ?? []);
    for (const userId of listed.symmetricDifference(members.get(name) ?? new Set<string>()))
      find("misplaced", `${userId} is ${listed.has(userId) ? "" : "not "}listed in ${name}`);
  }
  return verdict;
}

function checkTopic(
  announced: readonly string[],
  last: ReadonlyMap<string, number>,
  verdict: MembershipVerdict,
  find: (text: string) => void,
): void {
  const payloads = new Map<string, Map<number, string>>();
  for (const payload of announced) {
    const { userId, audience, generation, number, change } = JSON.parse(payload) as AnnouncedChange;
    const name = `${userId} ${audience} ${generation}`;
    const known = payloads.get(name) ?? new Map<number, string>();
    payloads.set(name, known);
    const before = known.get(number);
    if (number > (last.get(name) ?? 0) || (change === "entered") !== entersAt(number))
      find(`it never happened: ${payload}`);
    if (before !== undefined) verdict.repeated += 1;
    if (before !== undefined && before !== payload) find(`two under one number: ${before} ${payload}`);
    if (before === undefined && number < Math.max(0, ...known.keys())) verdict.overtaken += 1;
    known.set(number, payload);
  }
  for (const [name, number] of last)
    for (let each = 1; each <= number; each += 1)
      if (!payloads.get(name)?.has(each)) find(`the topic lacks ${name} ${each}`);
}

export function isRight({ wrong, misplaced, unannounced }: MembershipVerdict): boolean {
  return wrong + misplaced + unannounced === 0;
}
