import { apply } from "../shared/domain/apply.ts";
import type { CompiledDefinitions } from "../shared/domain/definitions/compile.ts";
import type { Update } from "../shared/domain/envelope.ts";
import { EMPTY_PROFILE, type Profile, withoutPending } from "../shared/domain/profile.ts";
import { stampAt } from "../shared/domain/stamp.ts";
import { compiled as compiledFrom } from "../test/support/compiled.ts";

/** Users of a shop with some history each, in process. */

export const START_MS = Date.UTC(2026, 5, 1);
export const limits = { horizonMs: 30 * 86_400_000, maxSources: 128, maxIds: 32, idMemoryMs: 86_400_000 };
export const lastUpdate = { id: "x", at: START_MS, path: "pulsar", appliedAtMs: START_MS, lagMs: 5 };

/** Events of a user's history: each kind five times. */
export const HISTORY = 20;
const EVENTS = ["order_completed", "product_viewed", "page_viewed", "cart_updated"] as const;

/** Ready to run, with a version and costs as the service has them. */
export function compiled(attributes: object, audiences: object): CompiledDefinitions {
  return compiledFrom({ attributes, audiences }, { version: START_MS, clockMs: () => performance.now() });
}

/** One event each, of the four in turn; half an hour apart. */
export function updateOf(user: number, seq: number): Update {
  const atMs = START_MS + seq * 1_800_000;
  const properties = {
    amount: ((user + seq) % 90) + 0.5,
    product: `product-${(user * 7 + seq) % 40}`,
    channel: `channel-${seq % 5}`,
  };
  return {
    ...{ v: 1, tenant: "bench", userId: `user-${user}`, src: "bench", seq, stamp: stampAt(atMs), at: atMs },
    ops: [{ kind: "event", body: { name: EVENTS[(user + seq) % EVENTS.length]!, properties } }],
  };
}

/** A profile after the events of a history. */
export function historyOf(user: number, definitions: CompiledDefinitions): Profile {
  let profile = EMPTY_PROFILE;
  for (let seq = 1; seq <= HISTORY; seq += 1)
    profile = withoutPending(apply(profile, [updateOf(user, seq)], limits, START_MS, definitions).profile);
  return profile;
}
