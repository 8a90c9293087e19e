/** Due moments in this process's memory, for the embedded mode and tests. Lost with the process. */
import { userKey } from "../../domain/envelope.ts";
import type { DueEntry, DueStore } from "../../ports/due-store.ts";
import { storeClosed, storeFull } from "./embedded-store.ts";

export type MemoryDueStoreOptions = {
  /** Entries kept; one more fails. */
  maxEntries: number;
};

/** `fromMs` is when it can be claimed: from its due moment on, or from the end of its hold. */
type StoredEntry = { entry: DueEntry; fromMs: number };

/** A claim goes through all entries. */
export function createMemoryDueStore({ maxEntries }: MemoryDueStoreOptions): DueStore {
  const stored = new Map<string, StoredEntry>();
  let closed = false;

  function assertOpen(): void {
    if (closed) throw storeClosed();
  }

  return {
    async add(entries) {
      assertOpen();
      for (const { tenant, userId, dueMs } of entries) {
        const entry = { tenant, userId, dueMs };
        const key = keyOf(entry);
        if (stored.has(key)) continue;
        if (stored.size >= maxEntries) throw storeFull(`${maxEntries} due moments`);
        stored.set(key, { entry, fromMs: dueMs });
      }
    },
    async claim(nowMs, limit, holdMs) {
      assertOpen();
      const due = [...stored.values()].filter(({ fromMs }) => fromMs <= nowMs);
      const taken = due.sort((a, b) => a.fromMs - b.fromMs).slice(0, limit);
      for (const each of taken) each.fromMs = nowMs + holdMs;
      return taken.map(({ entry }) => ({ ...entry })).sort((a, b) => a.dueMs - b.dueMs);
    },
    async done(entries) {
      assertOpen();
      for (const entry of entries) stored.delete(keyOf(entry));
    },
    async waiting() {
      assertOpen();
      let earliestMs: number | undefined;
      for (const { fromMs } of stored.values()) earliestMs = Math.min(earliestMs ?? fromMs, fromMs);
      return { entries: stored.size, earliestMs };
    },
    async close() {
      closed = true;
      stored.clear();
    },
  };
}

function keyOf({ tenant, userId, dueMs }: DueEntry): string {
  return `${dueMs} ${userKey(tenant, userId)}`;
}
