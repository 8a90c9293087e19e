/** What is left to deliver, and what was made of what was delivered, to be compared with the oracle. */
import { expect } from "vitest";
import { openStores } from "../../shared/adapters/open.ts";
import type { Update } from "../../shared/domain/envelope.ts";
import { decodeProfile } from "../../shared/domain/profile-record.ts";
import type { ProfileStore } from "../../shared/ports/profile-store.ts";
import { getJson } from "./get-json.ts";
import { expectedProfile } from "./oracle.ts";
import { until } from "./until.ts";
import { visible } from "./visible.ts";

/** Messages of the topics of updates, live and bulk, that the subscription has not acknowledged. */
export async function pulsarBacklog(admin: string, namespace = "public/keyline"): Promise<number> {
  const backlogs = ["updates", "updates-bulk"].map(async (topic) => {
    const url = `${admin}/admin/v2/persistent/${namespace}/${topic}/partitioned-stats?getPreciseBacklog=true`;
    const { subscriptions } = (await getJson(url)) as {
      subscriptions: Record<string, { msgBacklog: number }>;
    };
    return subscriptions["audience-update"]!.msgBacklog;
  });
  return (await Promise.all(backlogs)).reduce((sum, backlog) => sum + backlog);
}

/** Waits until as many updates are counted as there are distinct ones, and compares each user with the oracle. */
export async function expectProfiles(
  { redisUrl, redisKeyPrefix = "kl:" }: { redisUrl: string; redisKeyPrefix?: string },
  updates: readonly Update[],
  patienceMs: number,
): Promise<void> {
  const byUser = Map.groupBy(updates, ({ userId }) => userId);
  const { store, connection } = openStores({ redisUrl, redisKeyPrefix, redisCommandTimeoutMs: 5_000 });
  const stored = async () => Promise.all([...byUser.values()].map(([first]) => storedProfile(store, first!)));
  try {
    const counted = async () =>
      (await stored()).reduce((sum, profile) => sum + (profile?.updates ?? 0), 0) >= updates.length;
    await until("every update is counted", counted, { patienceMs });
    for (const [userId, own] of byUser)
      expect(await storedProfile(store, own[0]!), userId).toEqual(expectedProfile(own));
  } finally {
    await store.close();
    await connection.close();
  }
}

async function storedProfile(store: ProfileStore, user: { tenant: string; userId: string }) {
  const record = await store.load(user);
  if (!record) return undefined;
  return visible(decodeProfile(record.machinery).profile);
}
