/** The tenants as this gateway has them: what it read last, from memory. */
import type { DocumentStore } from "../../../shared/ports/document-store.ts";
import { watchDocuments } from "../../../shared/runtime/document-watch.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import { hashOf, type StoredTenant, type Tenant, type TenantDocument } from "./tenant.ts";

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
  all(): readonly StoredTenant[];
  /** Looks, so that what the store has at the call is known. Rejects with `store_unavailable`. */
  refresh(): Promise<void>;
  close(): Promise<void>;
};

export function startTenantRegistry(options: {
  store: Pick<DocumentStore, "revision" | "changedAfter">;
  /** A tenant is new, changed, or deleted. */
  onChange(tenant: string, version: number): void;
  onError(error: unknown): void;
  /** Default: a minute. */
  lookAtAllEveryMs?: number;
}): TenantRegistry {
  const tenants = new Map<string, StoredTenant>();
  let owners = new Map<string, Tenant>();

  function take(documents: ReadonlyMap<string, { version: number; document: string }>): void {
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
  }

  const { store, onError, lookAtAllEveryMs } = options;
  const watch = watchDocuments({
    ...{ store, what: "tenants", onError, lookAtAllEveryMs },
    known: () => tenants.keys(),
    onGone: (name) => void tenants.delete(name),
    onChanged: take,
  });
  return {
    isLoaded: watch.isLoaded,
    byWriteKey(key) {
      if (watch.isLoaded()) return owners.get(hashOf(key));
      const message = "the tenants are not read yet: their store has not answered since this gateway started";
      throw new KeylineError("tenants_not_loaded", message, { retryable: true });
    },
    byHash: (hash) => owners.get(hash),
    all: () => [...tenants.values()],
    refresh: watch.refresh,
    close: watch.close,
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
