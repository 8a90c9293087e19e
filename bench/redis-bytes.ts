import { Redis } from "ioredis";
import { nextVersion } from "../services/audience-update/profile-version.ts";
import { openStores } from "../shared/adapters/open.ts";
import { profileKey } from "../shared/adapters/redis/profile-key.ts";
import { AUDIENCES_FIELD } from "../shared/domain/calculated.ts";
import { calculatedView } from "../shared/domain/calculated-view.ts";
import type { CompiledDefinitions } from "../shared/domain/definitions/compile.ts";
import { encodeProfile } from "../shared/domain/profile-record.ts";
import type { ProfileWrite } from "../shared/ports/profile-store.ts";
import { until } from "../test/support/until.ts";
import { shop } from "./definitions.ts";
import { compiled, historyOf, lastUpdate } from "./shop-history.ts";

const USERS = 500;
const KEY_PREFIX = "bytes:";

/**
 * What Redis says a user with values for 20 calculated attributes takes: the whole hash, with its record, its plain
 * fields and its key.
 *
 * @returns bytes, the mean of some users.
 */
export async function redisBytesPerUser(redisUrl: string): Promise<number> {
  const definitions = compiled(shop.attributes, shop.audiences);
  const stores = openStores({ redisUrl, redisKeyPrefix: KEY_PREFIX, redisCommandTimeoutMs: 5_000 });
  const redis = new Redis(redisUrl);
  try {
    await until("Redis answers", () =>
      stores.store.ping().then(
        () => true,
        () => false,
      ),
    );
    const writes = Array.from({ length: USERS }, (_, n) => writeOf(n, definitions));
    const results = await stores.store.save(writes);
    if (results.some(({ outcome }) => outcome !== "saved")) throw new Error("a profile was not saved");
    const sizes = await Promise.all(
      writes.map(({ user }) => redis.memory("USAGE", profileKey(KEY_PREFIX, user))),
    );
    return sizes.reduce((sum: number, size) => sum + (size ?? 0), 0) / USERS;
  } finally {
    redis.disconnect();
    await stores.connection.close();
  }
}

/** What the service has written of a user after all of the history. */
function writeOf(n: number, definitions: CompiledDefinitions): ProfileWrite {
  const profile = historyOf(n, definitions);
  const { attributes, audiences } = calculatedView(profile, definitions);
  const fields = Object.entries({ ...attributes, [AUDIENCES_FIELD]: audiences });
  return {
    user: { tenant: "bench", userId: `user-${n}` },
    expectedVersion: undefined,
    version: nextVersion(undefined),
    machinery: encodeProfile(profile, lastUpdate),
    setAttributes: fields.map(([name, value]) => [name, JSON.stringify(value)]),
    removeAttributes: [],
  };
}
