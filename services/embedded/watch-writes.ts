import { attributes, type Profile } from "../../shared/domain/profile.ts";
import { decodeProfile, type LastUpdate } from "../../shared/domain/profile-record.ts";
import type { ProfileStore, UserKey } from "../../shared/ports/profile-store.ts";

/** A profile as it was last written. */
export type WrittenProfile = UserKey & { attributes: Record<string, unknown>; lastUpdate: LastUpdate };

export type WatchedStore = {
  store: ProfileStore;
  /** The profiles written last, newest first. */
  latest(): WrittenProfile[];
  /** Updates that had the id of another one, so that they were not counted; copies of one update are none of them. */
  repeatedIds(): number;
};

/** A profile store with someone who looks on. */
export function watchWrites(store: ProfileStore, maxLatest: number): WatchedStore {
  const latest = new Map<string, UserKey & { machinery: string }>();
  /** By user, where there are some. */
  const repeatsOf = new Map<string, number>();
  let repeats = 0;

  function written(user: UserKey, machinery: string): void {
    const key = JSON.stringify([user.tenant, user.userId]);
    const { profile } = decodeProfile(machinery);
    latest.delete(key);
    latest.set(key, { ...user, machinery });
    if (latest.size > maxLatest) latest.delete(latest.keys().next().value!);
    const before = repeatsOf.get(key) ?? 0;
    const now = repeatedIn(profile);
    if (now <= before) return;
    repeats += now - before;
    repeatsOf.set(key, now);
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
    repeatedIds: () => repeats,
  };
}

/** An update that repeats an id has its number in what was seen, and is not among those that were counted. */
function repeatedIn({ seen, updates }: Profile): number {
  let numbers = 0;
  for (const { intervals } of seen.values())
    for (let at = 0; at < intervals.length; at += 2) numbers += intervals[at + 1]! - intervals[at]! + 1;
  return numbers - updates;
}
