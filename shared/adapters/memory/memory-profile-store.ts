/** Profiles in this process's memory, for the embedded mode and tests. Everything is lost with the process. */
import type { ProfileStore, ProfileWrite, UserKey, WriteResult } from "../../ports/profile-store.ts";
import { storeClosed, storeFull } from "./embedded-store.ts";

export type MemoryProfileStoreOptions = {
  /** Profiles kept; the write of one more fails. */
  maxProfiles: number;
};

type StoredProfile = { version: string; machinery: string; attributes: Map<string, string> };

export type MemoryProfileStore = ProfileStore & {
  /** The plain attribute fields as a reader of the store sees them, name to JSON; undefined for a user without a profile. */
  attributes(user: UserKey): ReadonlyMap<string, string> | undefined;
};

export function createMemoryProfileStore(options: MemoryProfileStoreOptions): MemoryProfileStore {
  const { maxProfiles } = options;
  const tenants = new Map<string, Map<string, StoredProfile>>();
  let profileCount = 0;
  let closed = false;

  const find = ({ tenant, userId }: UserKey) => tenants.get(tenant)?.get(userId);

  function saveOne(write: ProfileWrite): WriteResult {
    const current = find(write.user);
    if (current?.version !== write.expectedVersion) {
      return { outcome: "conflict", current: current && recordOf(current) };
    }
    if (current === undefined && profileCount >= maxProfiles) {
      return { outcome: "failed", error: storeFull(`${maxProfiles} profiles`) };
    }
    const profile = current ?? insert(write.user);
    profile.version = write.version;
    profile.machinery = write.machinery;
    if (write.replacesAttributes) profile.attributes.clear();
    for (const [name, json] of write.setAttributes) profile.attributes.set(name, json);
    for (const name of write.removeAttributes) profile.attributes.delete(name);
    return { outcome: "saved" };
  }

  function insert({ tenant, userId }: UserKey): StoredProfile {
    const profile: StoredProfile = { version: "", machinery: "", attributes: new Map() };
    const users = tenants.get(tenant) ?? new Map<string, StoredProfile>();
    tenants.set(tenant, users);
    users.set(userId, profile);
    profileCount++;
    return profile;
  }

  function assertOpen(): void {
    if (closed) throw storeClosed();
  }

  return {
    description: `embedded profiles in memory, at most ${maxProfiles}`,
    async save(writes) {
      return writes.map((write) => (closed ? { outcome: "failed", error: storeClosed() } : saveOne(write)));
    },
    async load(user) {
      assertOpen();
      const profile = find(user);
      return profile && recordOf(profile);
    },
    async ping() {
      assertOpen();
    },
    attributes: (user) => find(user)?.attributes,
    async close() {
      closed = true;
      tenants.clear();
    },
  };
}

function recordOf({ version, machinery }: StoredProfile): { version: string; machinery: string } {
  return { version, machinery };
}
