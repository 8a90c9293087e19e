import { LRUCache } from "lru-cache";
import { EMPTY_PROFILE, type Profile } from "../../shared/domain/profile.ts";

/** A profile as this process last saw it in the store. */
export type CachedProfile = {
  /** The store's version; undefined when the user has no record as far as this process knows. */
  version: string | undefined;
  profile: Profile;
};

/**
 * Profiles of users seen of late, so that most writes need one round trip. A guess, never a truth: the store's
 * compare-and-set refuses what was computed from a stale one.
 */
export type ProfileCache = {
  get(key: string): CachedProfile;
  put(key: string, cached: CachedProfile, encodedLength: number): void;
  forget(key: string): void;
  size(): number;
};

/** A decoded profile takes about this many bytes for each character of its encoding, and some for itself. */
const BYTES_PER_CHARACTER = 6;
const BYTES_PER_PROFILE = 1_000;

const UNKNOWN: CachedProfile = { version: undefined, profile: EMPTY_PROFILE };

export function createProfileCache({ maxBytes }: { maxBytes: number }): ProfileCache {
  const profiles = new LRUCache<string, CachedProfile>({ maxSize: maxBytes });
  return {
    get: (key) => profiles.get(key) ?? UNKNOWN,
    put(key, cached, encodedLength) {
      profiles.set(key, cached, { size: encodedLength * BYTES_PER_CHARACTER + BYTES_PER_PROFILE });
    },
    forget: (key) => void profiles.delete(key),
    size: () => profiles.size,
  };
}
