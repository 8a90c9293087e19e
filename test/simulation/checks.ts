/** The promises of the design, each as a check that a run can fail. */
import { isDeepStrictEqual } from "node:util";
import type { Update } from "../../shared/domain/envelope.ts";
import { sight } from "../../shared/domain/seen.ts";
import { expectedProfile } from "../support/oracle.ts";
import { identityOf } from "../support/read-ledger.ts";
import { visible } from "../support/visible.ts";
import { isPoison } from "./load.ts";
import { tickMomentMs } from "./membership-checks.ts";
import { type Content, textOf, type World } from "./network.ts";
import { consumerLimits, type RunningConsumer, type RunningPublisher } from "./processes.ts";
import type { SimulatedRedis } from "./simulated-redis.ts";

/** I4: what is acknowledged is in the store, or in the dead-letter topic. */
export function checkAcknowledgement(
  world: World,
  redis: SimulatedRedis,
  { payload }: { payload: string },
  deadLetters: () => ReadonlySet<string>,
): void {
  if (isSaved(redis, payload) || deadLetters().has(payload)) return;
  world.violate("I4", `acknowledged, and neither in the store nor parked: ${payload}`);
}

/** What was applied from SQS is acknowledged once a copy of it is on its way to the ledger, or there. */
export function checkKept(
  world: World,
  delivery: Content,
  isKept: (delivery: Content) => boolean,
  deadLetters: () => ReadonlySet<string>,
): void {
  if (isKept(delivery) || deadLetters().has(delivery.payload)) return;
  world.violate("ledger", `acknowledged before a copy of it was durable: ${delivery.payload}`);
}

/** What waits for Pulsar leaves its queue once its topic has it. */
export function checkCompleted(
  world: World,
  delivery: Content,
  isInTopic: (delivery: Content) => boolean,
): void {
  if (isInTopic(delivery)) return;
  world.violate("ledger", `deleted from its queue, and not in its topic: ${delivery.payload}`);
}

function isSaved(redis: SimulatedRedis, payload: string): boolean {
  if (isPoison(payload)) return false;
  const update = JSON.parse(payload) as Update;
  const profile = redis.saved(update);
  const momentMs = tickMomentMs(update);
  // Ticks have no place in what was seen: their moment has come, or there is nobody for whom it could.
  if (momentMs !== undefined) return profile === undefined || (profile.calculated?.asOfMs ?? 0) >= momentMs;
  const source = profile?.seen.get(update.src);
  return source !== undefined && sight(source, update.seq) === "seen";
}

/** All of it is in the store, or parked. */
export function checkVisible(
  world: World,
  redis: SimulatedRedis,
  messages: readonly { payload: string }[],
  deadLetters: ReadonlySet<string>,
): void {
  for (const { payload } of messages)
    if (!isSaved(redis, payload) && !deadLetters.has(payload))
      world.violate("freshness", `stuck in a sick broker, and did not come over SQS: ${payload}`);
}

/** What can never apply ends in the dead-letter topic, and nothing else does. */
export function checkDeadLetters(
  world: World,
  poison: readonly string[],
  deadLetters: ReadonlySet<string>,
): void {
  for (const payload of poison)
    if (!deadLetters.has(payload)) world.violate("poison", `not parked: ${payload.trimEnd()}`);
  const known = new Set(poison);
  for (const payload of deadLetters)
    if (!known.has(payload)) world.violate("poison", `parked, and nothing is wrong with it: ${payload}`);
}

/** I8 */
export function checkBounds(
  world: World,
  publishers: readonly RunningPublisher[],
  consumers: readonly RunningConsumer[],
): void {
  for (const { process, flow } of consumers) {
    const { inHand } = flow.fromPulsar();
    const { messages: all, bulk } = flow.counts();
    const held = { pulsar: inHand, bulk, sqs: all - inHand - bulk };
    for (const [path, messages] of Object.entries(held))
      if (messages > consumerLimits.maxInFlightMessages)
        world.violate("I8", `${process.name} holds ${messages} messages of ${path}`);
  }
  for (const { process, publisher } of publishers) {
    const { underWay } = publisher.counts();
    if (underWay > MAX_UNDER_WAY) world.violate("I8", `${process.name} has ${underWay} updates under way`);
  }
}

const MAX_UNDER_WAY = 10_000;

/**
 * I1, I2, I3: everything that a path took is in the profiles, once, in the order of the stamps; and a path has
 * taken everything whose publish resolved.
 */
export function checkProfiles(
  world: World,
  redis: SimulatedRedis,
  accepted: readonly Update[],
  acknowledged: readonly Update[],
): void {
  const taken = new Set(accepted.map(identityOf));
  for (const update of acknowledged)
    if (!taken.has(identityOf(update)))
      world.violate("I1", `${identityOf(update)} resolved, and no path has it`);
  for (const updates of Map.groupBy(accepted, ({ userId, src }) => `${userId} ${src}`).values())
    checkStamps(world, updates);
  const counted = accepted.filter((update) => tickMomentMs(update) === undefined);
  for (const [userId, updates] of Map.groupBy(counted, (update) => update.userId)) {
    const expected = expectedProfile(updates);
    const profile = redis.saved({ tenant: "sim", userId });
    const found = profile && visible(profile);
    if (isDeepStrictEqual(found, expected)) continue;
    const text = `${userId} is ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`;
    const promise = found && found.updates > expected.updates ? "I2" : "I1/I3";
    world.violate(promise, text);
  }
}

/** A topic ends with everything that a path took for it, under the same key, verbatim. */
export function checkComplete(
  world: World,
  accepted: readonly Content[],
  isInTopic: (message: Content) => boolean,
): void {
  for (const message of accepted)
    if (!isInTopic(message)) world.violate("ledger", `its topic lacks ${textOf(message)}`);
}

/** I2 for what was sent again after a failure: one publish is one update, each with a trace of its own here. */
export function checkOneIdentity(world: World, accepted: readonly Update[]): void {
  const traced = accepted.filter((update) => tickMomentMs(update) === undefined);
  for (const [trace, updates] of Map.groupBy(traced, (update) => update.trace)) {
    const identities = new Set(updates.map(identityOf));
    if (identities.size > 1)
      world.violate("I2", `${trace} is more than one update: ${[...identities].join(", ")}`);
  }
}

/** The votes of processes that are gone do not count for longer than their time. */
export async function checkVotes(world: World, redis: SimulatedRedis, processes: number): Promise<void> {
  const { votes } = await redis.routes.read();
  if (votes.length > processes)
    world.violate("votes", `${votes.length} votes count, and ${processes} processes run`);
}

/** A publisher's updates of one user are ordered as it sent them, whatever its clock does. */
function checkStamps(world: World, updates: readonly Update[]): void {
  const inOrder = updates.toSorted((a, b) => a.seq - b.seq || a.stamp - b.stamp);
  inOrder.forEach((update, index) => {
    const before = inOrder[index - 1];
    if (before && before.seq < update.seq && before.stamp >= update.stamp)
      world.violate("I3", `${identityOf(update)} is stamped before ${identityOf(before)}`);
  });
}

/** I6 for the fleet, and I7: a line for each toggle. */
export async function checkAudit(world: World, redis: SimulatedRedis, toggles: number): Promise<void> {
  const lines = (await redis.routes.audit(10_000)).toReversed();
  const openings = lines.filter(({ action, route }) => action === "fleet" && route === "sqs");
  openings.forEach(({ atMs }, index) => {
    const third = openings[index + 2];
    if (third && third.atMs - atMs < 60_000)
      world.violate("I6", `the fleet opened three times in ${third.atMs - atMs} ms`);
  });
  const byOperators = lines.filter(({ action }) => action === "override" || action === "clear");
  if (byOperators.length !== toggles)
    world.violate("I7", `${byOperators.length} audit lines for ${toggles} toggles`);
}
