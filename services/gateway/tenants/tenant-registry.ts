/**
 * The tenants as this gateway has them. It looks for changes all the time; while the store is away, what it knew last
 * goes on: an outage of Redis must not stop what Pulsar takes.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { DocumentStore } from "../../../shared/ports/document-store.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import { hashOf, type Tenant, type TenantDocument } from "./tenant.ts";

export type TenantRegistry = {
  /** True from the first look that succeeded on. */
  isLoaded(): boolean;
  /**
   * Whose key it is; undefined for nobody's.
   * @throws KeylineError `tenants_not_loaded`, retryable
   */
  byWriteKey(key: string): Tenant | undefined;
  /** The tenant that has a key of this hash. */
  byHash(hash: string): Tenant | undefined;
  all(): readonly Tenant[];
  /** Looks, so that what the store has at the call is known. Rejects with `store_unavailable`. */
  refresh(): Promise<void>;
  close(): Promise<void>;
};

const LOOK_EVERY_MS = 500;
const LOOK_AT_ALL_EVERY_MS = 60_000;

export function startTenantRegistry(options: {
  store: Pick<DocumentStore, "revision" | "changedAfter">;
  /** A tenant is new, changed, or deleted. */
  onChange(tenant: string, version: number): void;
  onError(error: unknown): void;
  /** Default: a minute. */
  lookAtAllEveryMs?: number;
}): TenantRegistry {
  const { store, lookAtAllEveryMs = LOOK_AT_ALL_EVERY_MS } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const tenants = new Map<string, Tenant & { version: number }>();
  let owners = new Map<string, Tenant>();
  let revision: number | undefined;
  let lookedAtAllMs = Number.NEGATIVE_INFINITY;

  async function look(): Promise<void> {
    const current = await store.revision();
    const nowMs = performance.now();
    // A store that lost its last second has gone back, and may be further on again before anyone looks.
    const all = revision === undefined || current < revision || nowMs - lookedAtAllMs >= lookAtAllEveryMs;
    if (current === revision && !all) return;
    const { revision: read, documents } = await store.changedAfter(all ? -1 : revision!);
    if (all) {
      // Deleted tenants leave a document. A client that is told 401 drops what it has, so nobody's key ends by this.
      if (documents.size === 0 && tenants.size > 0) {
        options.onError(
          new KeylineError("tenants_lost", "their store has none any more; those it had go on"),
        );
        return;
      }
      for (const name of tenants.keys()) if (!documents.has(name)) tenants.delete(name);
      lookedAtAllMs = nowMs;
    }
    for (const [name, { version, document }] of documents) {
      if (tenants.get(name)?.version === version) continue;
      const settings = readDocument(document);
      if (settings === undefined) {
        const message = `the settings of ${name} can't be read; those it had go on`;
        options.onError(new KeylineError("tenant_unreadable", message, { path: name, value: version }));
        continue;
      }
      if (!("deleted" in settings)) tenants.set(name, { name, version, ...settings });
      else if (!tenants.delete(name)) continue;
      options.onChange(name, version);
    }
    owners = ownersOf(tenants.values());
    revision = read;
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      await look().catch(options.onError);
      await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => {});
    }
  }

  const running = run();
  return {
    isLoaded: () => revision !== undefined,
    byWriteKey(key) {
      if (revision !== undefined) return owners.get(hashOf(key));
      const message = "the tenants are not read yet: their store has not answered since this gateway started";
      throw new KeylineError("tenants_not_loaded", message, { retryable: true });
    },
    byHash: (hash) => owners.get(hash),
    all: () => [...tenants.values()],
    refresh: look,
    async close() {
      stopping.abort();
      await running;
    },
  };
}

/** Undefined for what another version of the gateway may have written: it stops no other tenant's changes. */
function readDocument(text: string): TenantDocument | undefined {
  try {
    const document = JSON.parse(text) as TenantDocument;
    const isReadable = "deleted" in document || (Array.isArray(document.writeKeys) && "quotas" in document);
    return isReadable ? document : undefined;
  } catch {
    return undefined;
  }
}

/** By the hash of each key. Two operators may have given one key to two tenants at once: the first by name has it. */
function ownersOf(tenants: Iterable<Tenant>): Map<string, Tenant> {
  const owners = new Map<string, Tenant>();
  const byName = [...tenants].toSorted((a, b) => (a.name < b.name ? -1 : 1));
  for (const tenant of byName)
    for (const { hash } of tenant.writeKeys) if (!owners.has(hash)) owners.set(hash, tenant);
  return owners;
}
