/**
 * The port to the moments at which time alone may change a user's memberships. Each entry is one user and one moment,
 * so that nothing ever moves an entry: a writer whose news is old can add one too many, which costs a tick
 * that changes nothing, and can never take one away.
 */
import type { UserKey } from "./profile-store.ts";

export type DueEntry = UserKey & {
  /** Milliseconds since the epoch. */
  dueMs: number;
};

export type DueStore = {
  /** Adds what is not there yet; resolves when the store has it. Rejects with `store_unavailable`. */
  add(entries: readonly DueEntry[]): Promise<void>;
  /**
   * Takes up to `limit` entries whose moment has come by `nowMs`, the oldest first (as far as the store's parts
   * allow); none means that there are no more. For `holdMs`, by the callers' clocks, nobody else gets them; then they
   * come again, unless they are `done`. Rejects with `store_unavailable`; then some may be held all the same.
   */
  claim(nowMs: number, limit: number, holdMs: number): Promise<DueEntry[]>;
  /** Removes entries: their ticks are durable. Rejects with `store_unavailable`; then they may come again. */
  done(entries: readonly DueEntry[]): Promise<void>;
  /**
   * All entries that are not `done`, also those that are due or held, and the earliest moment at which one can be
   * claimed: its due moment, or the end of its hold. Rejects with `store_unavailable`.
   */
  waiting(): Promise<{ entries: number; earliestMs: number | undefined }>;
  close(): Promise<void>;
};
