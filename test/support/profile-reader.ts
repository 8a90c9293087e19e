import { openStores } from "../../shared/adapters/open.ts";
import type { Profile } from "../../shared/domain/profile.ts";
import { decodeProfile } from "../../shared/domain/profile-record.ts";
import type { WriteOrder } from "../../shared/domain/stamp.ts";
import type { ExpectedProfile } from "./oracle.ts";
import { visible } from "./visible.ts";

export type ProfileReader = {
  /** Undefined where the store has no such user. */
  read(userId: string): Promise<Profile | undefined>;
  close(): Promise<void>;
};

/** Reads a tenant's profiles, past every service. */
export function openProfileReader(redisUrl: string, tenant = "chaos"): ProfileReader {
  const { store, connection } = openStores({
    redisUrl,
    redisKeyPrefix: "kl:",
    redisCommandTimeoutMs: 5_000,
  });
  return {
    async read(userId) {
      const record = await store.load({ tenant, userId });
      return record && decodeProfile(record.machinery).profile;
    },
    async close() {
      await store.close();
      await connection.close();
    },
  };
}

/** With the marks of `publisher-process.ts`, and which write put each there. */
export function observed(profile: Profile): ExpectedProfile & { marks: Map<string, WriteOrder> } {
  const members = [...(profile.sets.get("marks") ?? [])];
  const marks = new Map(members.map(([json, { order }]) => [JSON.parse(json) as string, order]));
  return { ...visible(profile), marks };
}
