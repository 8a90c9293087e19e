/**
 * The port to the store of profiles. One record a user; a write is a compare-and-set on the record's version.
 * The store knows nothing of what a profile means.
 */

export type UserKey = { tenant: string; userId: string };

/** A profile as it is stored. */
export type ProfileRecord = {
  /** Opaque, different after every write, also when the store lost writes in between. */
  version: string;
  /** The whole profile, encoded. */
  machinery: string;
};

export type ProfileWrite = {
  user: UserKey;
  /** The version the write was computed from; undefined when the user had no record. */
  expectedVersion: string | undefined;
  version: string;
  machinery: string;
  /** The plain attribute fields that changed, for whoever reads the store directly: name and JSON value. */
  setAttributes: readonly (readonly [name: string, json: string])[];
  removeAttributes: readonly string[];
  /** `setAttributes` are all that there are: others go. */
  replacesAttributes?: boolean;
};

export type WriteResult =
  | { outcome: "saved" }
  /** Someone else wrote first, or the store forgot: here is what it has now. */
  | { outcome: "conflict"; current: ProfileRecord | undefined }
  /**
   * Not known to be saved: the store is away, full, read-only, loading. May be tried again as it is. `unanswered` where
   * the store said nothing of this write by itself.
   */
  | { outcome: "failed"; error: Error; unanswered?: boolean };

export type ProfileStore = {
  description: string;
  /**
   * Saves the writes of many users side by side. Results stand in the order of `writes`. Each user at most
   * once a call. Never rejects.
   */
  save(writes: readonly ProfileWrite[]): Promise<WriteResult[]>;
  /** Rejects with `store_unavailable` when the store does not answer. */
  load(user: UserKey): Promise<ProfileRecord | undefined>;
  /** Resolves when the store answers and takes writes; rejects with `store_unavailable` and the reason. */
  ping(): Promise<void>;
  close(): Promise<void>;
};
