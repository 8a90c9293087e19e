/**
 * The port to who the members of an audience are, for those who list and count them. The profile is the truth; this
 * is written after it and before the acknowledgement, each entry guarded by the number of its change: an older
 * number never undoes a newer one, whoever comes late.
 */

/** One version of one audience's definition. */
export type AudienceVersion = { tenant: string; audience: string; version: number };

export type MemberEntry = AudienceVersion & {
  userId: string;
  /** Of the user's last change in this audience: odd means in, even means out. */
  number: number;
};

export type MemberPage = {
  /** In the order of their UTF-8 bytes, each after `after`. */
  userIds: string[];
  /** What `after` is for the next page; undefined on the last one. */
  next: string | undefined;
};

export type MemberStore = {
  /** Entries with a number not greater than the one that is there change nothing. Rejects with `store_unavailable`. */
  record(entries: readonly MemberEntry[]): Promise<void>;
  /** How many are in. Rejects with `store_unavailable`. */
  count(of: AudienceVersion): Promise<number>;
  /** Up to `limit` members after a user id, from the first on without one. Rejects with `store_unavailable`. */
  page(of: AudienceVersion, after: string | undefined, limit: number): Promise<MemberPage>;
  /** Forgets a version that nobody asks for any more. Rejects with `store_unavailable`. */
  drop(of: AudienceVersion): Promise<void>;
  close(): Promise<void>;
};
