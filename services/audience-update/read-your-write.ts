/** Reading one's own write: waits until a profile has counted an update. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Profile } from "../../shared/domain/profile.ts";
import { sight } from "../../shared/domain/seen.ts";
import type { ProfileRecord, ProfileStore, UserKey } from "../../shared/ports/profile-store.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { readProfile } from "./read-profile.ts";

const FIRST_POLL_MS = 20;
const LAST_POLL_MS = 100;
const SLOWER = 1.5;
/** Each of them asks the store up to 50 times a second. */
const MAX_WAITING = 500;

export type ProfileLoader = {
  /**
   * The user's record. With `after` once it has counted that update: the id that its publisher was told. Rejects
   * with `store_unavailable`, `too_many_waiting` and `update_not_visible`, all retryable, and with the reason of
   * `signal`; and `profile_unreadable`, where there is an update to look for.
   */
  load(user: UserKey, wait?: AfterUpdate): Promise<ProfileRecord | undefined>;
};

export type AfterUpdate = { after: string; timeoutMs: number; signal: AbortSignal };

export function createProfileLoader(
  store: Pick<ProfileStore, "load">,
  { maxWaiting = MAX_WAITING }: { maxWaiting?: number } = {},
): ProfileLoader {
  let waiting = 0;

  async function poll(user: UserKey, { after, timeoutMs, signal }: AfterUpdate): Promise<ProfileRecord> {
    const deadlineMs = performance.now() + timeoutMs;
    for (let everyMs = FIRST_POLL_MS; ; everyMs = Math.min(everyMs * SLOWER, LAST_POLL_MS)) {
      const record = await store.load(user);
      if (record && hasCounted(readProfile(user, record).profile, after)) return record;
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0) throw notVisible(user, after, timeoutMs);
      await sleep(Math.min(everyMs, leftMs), undefined, { signal });
    }
  }

  return {
    async load(user, wait) {
      if (!wait) return store.load(user);
      if (waiting >= maxWaiting) {
        const text = `${maxWaiting} reads wait for their updates already`;
        throw new KeylineError("too_many_waiting", text, { path: "after", retryable: true });
      }
      waiting += 1;
      try {
        return await poll(user, wait);
      } finally {
        waiting -= 1;
      }
    },
  };
}

function notVisible({ tenant, userId }: UserKey, after: string, timeoutMs: number): KeylineError {
  const text = `user ${JSON.stringify(userId)} of tenant ${tenant} has not counted update ${after} within ${timeoutMs} ms`;
  return new KeylineError("update_not_visible", text, { path: "after", value: after, retryable: true });
}

/** By the caller's own id, or else by source and number. */
export function hasCounted(profile: Profile, id: string): boolean {
  if (profile.ids.has(id)) return true;
  const [, src, seq] = /^(.+)-([1-9]\d{0,15})$/.exec(id) ?? [];
  const source = src === undefined ? undefined : profile.seen.get(src);
  return source !== undefined && sight(source, Number(seq)) === "seen";
}
