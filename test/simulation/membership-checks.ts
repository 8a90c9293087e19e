/** What is promised of calculated attributes, memberships and ticks, each as a check that a run can fail. */
import { isDeepStrictEqual } from "node:util";
import { calculatedView, scopeOn } from "../../shared/domain/calculated-view.ts";
import { nextDueMs } from "../../shared/domain/definitions/next-due.ts";
import { TAKEN_UP_WITHIN_MS } from "../../shared/domain/definitions/tenant-definitions.ts";
import { type Update, updateId, userKey } from "../../shared/domain/envelope.ts";
import { type AnnouncedChange, type ChangeCause, entersAt } from "../../shared/domain/membership-change.ts";
import type { Profile } from "../../shared/domain/profile.ts";
import { stampTimeMs } from "../../shared/domain/stamp.ts";
import { type DefinitionsInput, readsOf, recompute } from "../support/recompute.ts";
import { type DefinitionsVersion, inputOf, type SimulatedDefinitions, TENANT } from "./definitions.ts";
import type { Content, World } from "./network.ts";
import { sweepIntervalMs } from "./processes.ts";
import type { SimulatedRedis } from "./simulated-redis.ts";

/** The moment that a tick tells of; undefined for other updates. */
export function tickMomentMs({ ops, stamp }: Update): number | undefined {
  const [op] = ops;
  return op?.kind === "tick" ? Math.min(op.body.due, stampTimeMs(stamp)) : undefined;
}

/** The names of messages, as far as they have come. */
export function createIndex(
  sources: (() => readonly Content[])[],
  nameOfPayload: (payload: string) => string | undefined,
): () => ReadonlySet<string> {
  const known = new Set<string>();
  const read = sources.map(() => 0);
  return () => {
    sources.forEach((source, index) => {
      const messages = source();
      for (let at = read[index]!; at < messages.length; at += 1) {
        const name = nameOfPayload(messages[at]!.payload);
        if (name !== undefined) known.add(name);
      }
      read[index] = messages.length;
    });
    return known;
  };
}

export function announcementNameOf(payload: string): string {
  return nameOf(JSON.parse(payload) as AnnouncedChange);
}

export function tickNameOf(payload: string): string | undefined {
  if (!payload.includes('"tick"')) return undefined;
  const { userId, ops } = JSON.parse(payload) as Update;
  const [op] = ops;
  return op?.kind === "tick" ? `${userId} ${op.body.due}` : undefined;
}

function nameOf(change: Pick<AnnouncedChange, "userId" | "audience" | "generation" | "number">): string {
  return `${change.userId} ${change.audience} ${change.generation} ${change.number}`;
}

/** What an update changed is announced, durably, before the update is acknowledged. */
export function checkAnnounced(
  world: World,
  redis: SimulatedRedis,
  definitions: SimulatedDefinitions,
  update: Update,
  announced: () => ReadonlySet<string>,
): void {
  const pending = redis.saved(update)?.calculated?.pending ?? [];
  const { audienceSlots } = definitions.latest().compiled;
  const momentMs = tickMomentMs(update);
  const isCause = (cause: ChangeCause | undefined, atMs: number) =>
    momentMs === undefined
      ? cause?.kind === "update" && cause.id === updateId(update)
      : cause?.kind === "time" && atMs === momentMs;
  for (const { cause, atMs, changes } of pending) {
    if (!isCause(cause, atMs)) continue;
    for (const { slot, number } of changes) {
      const { name: audience, generation } = audienceSlots.get(slot)!;
      const change = nameOf({ userId: update.userId, audience, generation, number });
      if (!announced().has(change))
        world.violate("changes", `acknowledged ${updateId(update)} before it announced ${change}`);
    }
  }
}

/** How long after a change it is looked at what writes go by: to look at all of them is dear. */
const CHANGED_LATELY_MS = 60_000;

/** Nobody folds with definitions that others have had for too long, and no profile steps back to older ones. */
export function watchWrites(world: World, redis: SimulatedRedis, definitions: SimulatedDefinitions): void {
  const changedLately = () => {
    const { storedMs } = definitions.latest();
    return definitions.versions.size > 1 && world.time.now() - storedMs < CHANGED_LATELY_MS;
  };
  const isNews = (after: Profile, before: Profile | undefined) =>
    after.updates > (before?.updates ?? 0) ||
    (after.calculated?.asOfMs ?? 0) > (before?.calculated?.asOfMs ?? 0);
  redis.watchWrites({
    wanted: changedLately,
    begun(user, after) {
      if (!isNews(after, redis.saved(user))) return;
      const known = [...definitions.versions.values()].filter(
        ({ storedMs }) => world.time.now() - storedMs > TAKEN_UP_WITHIN_MS,
      );
      const wanted = known.at(-1)?.document.version ?? 0;
      const version = after.calculated?.version ?? 0;
      if (version < wanted)
        world.violate("definitions", `${user.userId} is folded with version ${version} instead of ${wanted}`);
    },
    saved(user, after, before) {
      const versions = [before?.calculated?.version ?? 0, after.calculated?.version ?? 0] as const;
      if (versions[1] < versions[0])
        world.violate("definitions", `${user.userId} steps back from version ${versions.join(" to ")}`);
    },
  });
}

/** Beside the interval of the sweeps: a hold that ran out, and the way. */
const TICK_MS = 3_000;
/** How long after a fault ticks may be late. */
const SETTLING_MS = 30_000;

/** The moment that each user's memberships are at, at least, where nothing is wrong. */
function sweptUntilMs(world: World, skewsMs: readonly number[]): number {
  return world.time.now() - sweepIntervalMs - TICK_MS + Math.min(0, Math.max(...skewsMs));
}

/** @param skewsMs of the consumers' clocks: a sweeper goes by its own. */
export function checkOverdue(world: World, redis: SimulatedRedis, skewsMs: readonly number[]): void {
  const { now, lastMs } = world.faults;
  if (now > 0 || world.time.now() - lastMs < SETTLING_MS || skewsMs.length === 0) return;
  const untilMs = sweptUntilMs(world, skewsMs);
  // Where a publisher's clock is behind, a moment may have passed when its entry comes.
  for (const { userId, dueMs, addedMs } of redis.dueEntries())
    if (Math.max(dueMs, addedMs) < untilMs)
      world.violate("ticks", `${userId} was due ${world.time.now() - dueMs} ms ago`);
}

/** The profiles, the topic, the member store and the due store tell the same of each user, and it is right. */
export async function checkMemberships(
  world: World,
  redis: SimulatedRedis,
  definitions: SimulatedDefinitions,
  options: {
    accepted: readonly Update[];
    /** The topic's, in its order. */
    announced: readonly Content[];
    /** Whether a change went over SQS, where a later one may overtake it. */
    tookDetour(message: Content): boolean;
    skewsMs: readonly number[];
  },
): Promise<void> {
  const dueByUser = Map.groupBy(redis.dueEntries(), ({ userId }) => userId);
  const dueOf = (userId: string) => dueByUser.get(userId) ?? [];
  const untilMs = sweptUntilMs(world, options.skewsMs);
  const members = new Map<string, string[]>();
  const expectedNumbers = new Map<string, number>();
  const latest = definitions.latest();
  const byUser = Map.groupBy(options.accepted, ({ userId }) => userId);
  for (const [userId, updates] of byUser) {
    const profile = redis.saved({ tenant: TENANT, userId });
    if (!profile?.calculated) {
      if (updates.some((update) => tickMomentMs(update) === undefined))
        world.violate("memberships", `${userId} has none calculated`);
      continue;
    }
    const { calculated } = profile;
    const own = definitions.versions.get(calculated.version)!;
    const earliestMs = Math.min(...dueOf(userId).map(({ dueMs }) => dueMs));
    // What is still to be swept has not come yet; whether that is late is another check's.
    const upToMs = Math.min(untilMs, earliestMs - 1);
    checkValues(world, definitions, own, { userId, profile, updates, untilMs: upToMs });
    checkAlarm(world, own, profile, userId, dueOf(userId));
    for (let at = 0; at < calculated.numbers.length; at += 2) {
      const number = calculated.numbers[at + 1]!;
      const { name: audience, generation } = latest.compiled.audienceSlots.get(calculated.numbers[at]!)!;
      expectedNumbers.set(`${userId} ${audience} ${generation}`, number);
      // A user is a member of this version of it once evaluated with it.
      const evaluated = calculated.version >= latest.document.audiences[audience]!.standing.version;
      if (evaluated && entersAt(number)) entryOf(members, audience).push(userId);
    }
  }
  checkTopic(world, options, expectedNumbers);
  for (const { name: audience, standing } of latest.compiled.audiences)
    await checkMembers(world, redis, { audience, version: standing.version }, members.get(audience) ?? []);
}

function entryOf(members: Map<string, string[]>, audience: string): string[] {
  const known = members.get(audience) ?? [];
  members.set(audience, known);
  return known;
}

function checkValues(
  world: World,
  definitions: SimulatedDefinitions,
  { document, compiled }: DefinitionsVersion,
  user: { userId: string; profile: Profile; updates: readonly Update[]; untilMs: number },
): void {
  const { userId, profile, updates, untilMs } = user;
  const view = calculatedView(profile, compiled, untilMs);
  const moments = updates.map((update) => tickMomentMs(update) ?? stampTimeMs(update.stamp));
  const asOfMs = Math.max(...moments);
  if (profile.calculated?.asOfMs !== asOfMs)
    world.violate("ticks", `${userId} is as of ${profile.calculated?.asOfMs} instead of ${asOfMs}`);
  const input = inputOf(document);
  const expected = recompute(input, updates, [untilMs]);
  const first = definitions.first().document;
  const begunAnew = (name: string) =>
    document.attributes[name]?.standing.slot !== first.attributes[name]?.standing.slot;
  const unknown = new Set([...expected.undecided, ...undecidable(input, begunAnew)]);
  for (const name of Object.keys(input.attributes))
    if (!unknown.has(name) && !isDeepStrictEqual(view.attributes[name], expected.attributes[name]))
      world.violate(
        "memberships",
        `${userId}: ${name} is ${JSON.stringify(view.attributes[name])} instead of ${JSON.stringify(expected.attributes[name])}`,
      );
  const decided = (names: readonly string[]) => names.filter((name) => !unknown.has(name));
  if (!isDeepStrictEqual(decided(view.audiences), decided(expected.audiences)))
    world.violate(
      "memberships",
      `${userId} is in ${decided(view.audiences).join(", ")} instead of ${decided(expected.audiences).join(", ")}`,
    );
  checkRules(world, compiled, profile, userId);
}

/** Names of those that depend on what was not counted from the first update on. */
function undecidable(input: DefinitionsInput, begunAnew: (name: string) => boolean): Set<string> {
  const unknown = new Set(
    Object.entries(input.attributes).flatMap(([name, definition]) =>
      "aggregate" in definition && begunAnew(name) ? [name] : [],
    ),
  );
  if (unknown.size === 0) return unknown;
  const expressions = [
    ...Object.entries(input.attributes).flatMap(([name, each]) =>
      "derive" in each ? [[name, each.derive] as const] : [],
    ),
    ...Object.entries(input.audiences).map(([name, { rule }]) => [name, rule] as const),
  ];
  for (let size = -1; size !== unknown.size; ) {
    size = unknown.size;
    for (const [name, expression] of expressions)
      if (readsOf(expression).names.some((read) => unknown.has(read))) unknown.add(name);
  }
  return unknown;
}

/** Each membership is what its rule gives for the values that the profile has. */
function checkRules(
  world: World,
  compiled: DefinitionsVersion["compiled"],
  profile: Profile,
  userId: string,
): void {
  const { scope, user } = scopeOn(profile, compiled);
  compiled.audiences.forEach(({ name }, place) => {
    const member = scope.isMember(place);
    if (member !== undefined && member !== entersAt(user.numbers[place] ?? 0))
      world.violate("memberships", `${userId}: ${name} is not what its rule gives: ${member}`);
  });
}

/** Whoever's memberships time alone may change has an alarm that is early enough, and the due store has it. */
function checkAlarm(
  world: World,
  { compiled }: DefinitionsVersion,
  profile: Profile,
  userId: string,
  due: readonly { dueMs: number }[],
): void {
  const { alarmMs, asOfMs } = profile.calculated!;
  const { scope, user } = scopeOn(profile, compiled);
  const dueMs = nextDueMs(
    compiled,
    compiled.byTime,
    compiled.byNow,
    { scope, states: user.states },
    user.asOfMs,
  );
  const early = alarmMs > asOfMs && alarmMs <= dueMs;
  if (dueMs !== Number.POSITIVE_INFINITY && !early)
    world.violate("ticks", `${userId} is due at ${dueMs}, and its alarm is at ${alarmMs}`);
  if (alarmMs > 0 && !due.some((entry) => entry.dueMs === alarmMs))
    world.violate("ticks", `the due store lacks the alarm of ${userId} at ${alarmMs}`);
}

/**
 * For each user and audience the topic has every number from 1 to the profile's, and what stands under one number is
 * always the same. A receiver that drops what is not greater than the last ends with the last.
 */
function checkTopic(
  world: World,
  { announced, tookDetour }: { announced: readonly Content[]; tookDetour(message: Content): boolean },
  expectedNumbers: ReadonlyMap<string, number>,
): void {
  const payloads = new Map<string, Map<number, string>>();
  for (const { key, payload } of announced) {
    const change = JSON.parse(payload) as AnnouncedChange;
    const { tenant, userId, audience, generation, number } = change;
    if (key !== userKey(tenant, userId)) world.violate("changes", `under the key ${key}: ${payload}`);
    if ((change.change === "entered") !== entersAt(number)) world.violate("changes", payload);
    const name = `${userId} ${audience} ${generation}`;
    const known = payloads.get(name) ?? new Map<number, string>();
    payloads.set(name, known);
    const before = known.get(number);
    if (before === undefined) {
      const last = Math.max(0, ...known.keys());
      if (number < last && !tookDetour({ key, payload }))
        world.violate("changes", `${name}: ${number} comes after ${last}`);
      known.set(number, payload);
    } else if (before !== payload)
      world.violate("changes", `two changes under one number: ${before} ${payload}`);
  }
  for (const [name, number] of expectedNumbers) {
    const known = payloads.get(name) ?? new Map<number, string>();
    if (known.size !== number || Math.max(0, ...known.keys()) !== number)
      world.violate("changes", `${name}: ${[...known.keys()].join(", ")} announced, and ${number} happened`);
  }
  for (const name of payloads.keys())
    if (!expectedNumbers.has(name)) world.violate("changes", `${name}: announced, and it never happened`);
}

const PAGE = 10;

async function checkMembers(
  world: World,
  { members }: SimulatedRedis,
  of: { audience: string; version: number },
  expected: readonly string[],
): Promise<void> {
  const listed: string[] = [];
  let after: string | undefined;
  do {
    const { userIds, next } = await members.page({ tenant: TENANT, ...of }, after, PAGE);
    listed.push(...userIds);
    after = next;
  } while (after !== undefined);
  if (!isDeepStrictEqual(listed, expected.toSorted()))
    world.violate(
      "members",
      `${of.audience} lists ${listed.join(", ")}; members are ${expected.toSorted().join(", ")}`,
    );
}
