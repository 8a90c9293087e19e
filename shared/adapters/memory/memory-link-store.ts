/** Links in this process's memory, for the embedded mode and tests. Lost with the process. */
import { userKey } from "../../domain/envelope.ts";
import type { LinkStore } from "../../ports/link-store.ts";
import { storeClosed, storeFull } from "./embedded-store.ts";

/** @param options.maxUsers users with links; one more fails. */
export function createMemoryLinkStore({ maxUsers }: { maxUsers: number }): LinkStore {
  const linked = new Map<string, Set<string>>();
  let closed = false;

  function linksOf(key: string): Set<string> {
    const known = linked.get(key);
    if (known) return known;
    if (linked.size >= maxUsers) throw storeFull(`links of ${maxUsers} users`);
    const fresh = new Set<string>();
    linked.set(key, fresh);
    return fresh;
  }

  return {
    async link(links, limit) {
      if (closed) throw storeClosed();
      return links.map(({ tenant, userId, linkedId }) => {
        const own = linksOf(userKey(tenant, userId));
        if (own.size < limit) own.add(linkedId);
        return own.has(linkedId);
      });
    },
    async close() {
      closed = true;
      linked.clear();
    },
  };
}
