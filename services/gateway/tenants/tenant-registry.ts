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

export function startTenantRegistry(options: {
  store: Pick<DocumentStore, "revision" | "changedAfter">;
  /** A tenant is new, changed, or deleted. */
  onChange(tenant: string, version: number): void;
  onError(error: unknown): void;
}): TenantRegistry {
  const { store } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const tenants = new Map<string, Tenant & { version: number }>();
  let owners = new Map<string, Tenant>();
  let revision: number | undefined;

  async function look(): Promise<void> {
    const current = await store.revision();
    if (current === revision) return;
    // A store that lost its last second has gone back: then all that it has is looked at.
    const isBack = revision === undefined || current < revision;
    const { revision: read, documents } = await store.changedAfter(isBack ? -1 : revision!);
    if (isBack) for (const name of tenants.keys()) if (!documents.has(name)) tenants.delete(name);
    for (const [name, { version, document }] of documents) {
      if (tenants.get(name)?.version === version) continue;
      const settings = JSON.parse(document) as TenantDocument;
      if ("deleted" in settings) tenants.delete(name);
      else tenants.set(name, { name, version, ...settings });
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

/** By the hash of each key. Two operators may have given one key to two tenants at once: the first by name has it. */
function ownersOf(tenants: Iterable<Tenant>): Map<string, Tenant> {
  const owners = new Map<string, Tenant>();
  const byName = [...tenants].toSorted((a, b) => (a.name < b.name ? -1 : 1));
  for (const tenant of byName)
    for (const { hash } of tenant.writeKeys) if (!owners.has(hash)) owners.set(hash, tenant);
  return owners;
}
