import { LRUCache } from "lru-cache";
import type { ProfileRecord } from "../../shared/ports/profile-store.ts";

/**
 * Records of users seen of late, so that most writes need one round trip. A guess, never a truth: the store's
 * compare-and-set refuses what was computed from a stale one.
 *
 * Records are kept as the text that the store holds: a decoded profile takes ten times the memory, all of it
 * for the garbage collector to walk, and saves some 3 us a turn.
 */
export type ProfileCache = {
  /** Undefined when this process does not know of a record. */
  get(key: string): ProfileRecord | undefined;
  put(key: string, record: ProfileRecord): void;
  forget(key: string): void;
  size(): number;
};

/** What an entry takes beside its text, about. */
const BYTES_PER_ENTRY = 300;
const SHORTEST_RECORD = 100;

export function createProfileCache({ maxBytes }: { maxBytes: number }): ProfileCache {
  // With a number of entries known beforehand the library keeps its lists in typed arrays.
  const max = Math.ceil(maxBytes / (BYTES_PER_ENTRY + SHORTEST_RECORD));
  const records = new LRUCache<string, ProfileRecord>({ max, maxSize: maxBytes });
  return {
    get: (key) => records.get(key),
    put(key, { version, machinery }) {
      records.set(key, { version, machinery }, { size: machinery.length + BYTES_PER_ENTRY });
    },
    forget: (key) => void records.delete(key),
    size: () => records.size,
  };
}
