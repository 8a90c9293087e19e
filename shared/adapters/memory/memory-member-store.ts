/** The members of audiences in this process's memory, for the embedded mode and tests. Lost with the process. */
import type { AudienceVersion, MemberStore } from "../../ports/member-store.ts";
import { compareUtf8 } from "../utf8-order.ts";
import { storeClosed, storeFull } from "./embedded-store.ts";

export type MemoryMemberStoreOptions = {
  /** Users kept, those who left included, of all audience versions together; one more fails. */
  maxEntries: number;
};

type StoredAudience = {
  numbers: Map<string, number>;
  members: Set<string>;
  /** The members in the order of pages; undefined since the last change. */
  sorted: string[] | undefined;
};

export function createMemoryMemberStore({ maxEntries }: MemoryMemberStoreOptions): MemberStore {
  const audiences = new Map<string, StoredAudience>();
  let entryCount = 0;
  let closed = false;

  function assertOpen(): void {
    if (closed) throw storeClosed();
  }

  function insert(of: AudienceVersion): StoredAudience {
    const audience: StoredAudience = { numbers: new Map(), members: new Set(), sorted: undefined };
    audiences.set(keyOf(of), audience);
    return audience;
  }

  return {
    async record(entries) {
      assertOpen();
      for (const entry of entries) {
        const { userId, number } = entry;
        const found = audiences.get(keyOf(entry));
        const stored = found?.numbers.get(userId);
        if (number <= (stored ?? 0)) continue;
        if (stored === undefined) {
          if (entryCount >= maxEntries) throw storeFull(`${maxEntries} users of audiences`);
          entryCount++;
        }
        const audience = found ?? insert(entry);
        audience.numbers.set(userId, number);
        if (number % 2 === 1) audience.members.add(userId);
        else audience.members.delete(userId);
        audience.sorted = undefined;
      }
    },
    async count(of) {
      assertOpen();
      return audiences.get(keyOf(of))?.members.size ?? 0;
    },
    async page(of, after, limit) {
      assertOpen();
      const audience = audiences.get(keyOf(of));
      if (audience === undefined) return { userIds: [], next: undefined };
      audience.sorted ??= [...audience.members].sort(compareUtf8);
      const start = after === undefined ? 0 : firstAfter(audience.sorted, after);
      const userIds = audience.sorted.slice(start, start + limit);
      return { userIds, next: start + limit < audience.sorted.length ? userIds.at(-1) : undefined };
    },
    async drop(of) {
      assertOpen();
      entryCount -= audiences.get(keyOf(of))?.numbers.size ?? 0;
      audiences.delete(keyOf(of));
    },
    async close() {
      closed = true;
      audiences.clear();
    },
  };
}

/** The place of the first that is greater than `after`, which need not be there. */
function firstAfter(sorted: readonly string[], after: string): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareUtf8(sorted[middle]!, after) > 0) high = middle;
    else low = middle + 1;
  }
  return low;
}

function keyOf({ tenant, audience, version }: AudienceVersion): string {
  return JSON.stringify([tenant, audience, version]);
}
