import { isDeepStrictEqual } from "node:util";
import pLimit from "p-limit";
import { openStores } from "../shared/adapters/open.ts";
import type { Update } from "../shared/domain/envelope.ts";
import { decodeProfile } from "../shared/domain/profile-record.ts";
import type { ProfileStore } from "../shared/ports/profile-store.ts";
import { expectedProfile } from "../test/support/oracle.ts";
import { until } from "../test/support/until.ts";
import { visible } from "../test/support/visible.ts";

const READS_UNDER_WAY = 100;

/** How many users' profiles in Redis are not the oracle's: an update lost, doubled, or folded on a stale profile. */
export async function wrongProfiles(
  redisUrl: string,
  redisKeyPrefix: string,
  published: readonly Update[],
): Promise<number> {
  const { store, connection } = openStores({ redisUrl, redisKeyPrefix, redisCommandTimeoutMs: 5_000 });
  try {
    await until("Redis answers", () => store.ping().then(() => true));
    const oneOf = pLimit(READS_UNDER_WAY);
    const users = Map.groupBy(published, ({ userId }) => userId).values();
    const right = await Promise.all([...users].map((updates) => oneOf(() => isRight(store, updates))));
    return right.filter((each) => !each).length;
  } finally {
    await store.close();
    await connection.close();
  }
}

/** @param updates all of one user */
async function isRight(store: ProfileStore, updates: readonly Update[]): Promise<boolean> {
  const { tenant, userId } = updates[0]!;
  const record = await store.load({ tenant, userId });
  if (!record) return false;
  return isDeepStrictEqual(visible(decodeProfile(record.machinery).profile), expectedProfile(updates));
}
