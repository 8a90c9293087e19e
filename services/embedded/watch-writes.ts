import { attributes } from "../../shared/domain/profile.ts";
import { decodeProfile, type LastUpdate } from "../../shared/domain/profile-record.ts";
import type { ProfileStore, UserKey } from "../../shared/ports/profile-store.ts";

/** A profile as it was last written. */
export type WrittenProfile = UserKey & { attributes: Record<string, unknown>; lastUpdate: LastUpdate };

export type WatchedStore = {
  store: ProfileStore;
  /** The profiles written last, newest first. */
  latest(): WrittenProfile[];
  /** From publish to visible of every write since the last call, in milliseconds. */
  takeLags(): number[];
};

const MAX_LAGS = 20_000;

/** A profile store with someone who looks on. */
export function watchWrites(store: ProfileStore, maxLatest: number): WatchedStore {
  const latest = new Map<string, UserKey & { machinery: string }>();
  let lags: number[] = [];

  function written(user: UserKey, machinery: string): void {
    const key = JSON.stringify([user.tenant, user.userId]);
    latest.delete(key);
    latest.set(key, { ...user, machinery });
    if (latest.size > maxLatest) latest.delete(latest.keys().next().value!);
    if (lags.length < MAX_LAGS) lags.push(decodeProfile(machinery).lastUpdate.lagMs);
  }

  return {
    store: {
      ...store,
      async save(writes) {
        const results = await store.save(writes);
        for (const [index, { user, machinery }] of writes.entries())
          if (results[index]?.outcome === "saved") written(user, machinery);
        return results;
      },
    },
    latest: () =>
      [...latest.values()].reverse().map(({ tenant, userId, machinery }) => {
        const { profile, lastUpdate } = decodeProfile(machinery);
        return { tenant, userId, attributes: attributes(profile), lastUpdate };
      }),
    takeLags() {
      const taken = lags;
      lags = [];
      return taken;
    },
  };
}
