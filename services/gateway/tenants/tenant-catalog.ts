/** What operators do to tenants, as steps on their documents. */
import type {
  DocumentStore,
  TenantDocument as StoredDocument,
} from "../../../shared/ports/document-store.ts";
import { changeDocument } from "../../../shared/runtime/change-document.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import {
  changedTenant,
  generateKey,
  MAX_WRITE_KEYS,
  type StoredTenant,
  type TenantDocument,
  type TenantInput,
  writeKeyOf,
} from "./tenant.ts";
import type { TenantRegistry } from "./tenant-registry.ts";

export type TenantCatalog = {
  /** From the store itself. @throws KeylineError `tenant_not_found`, `store_unavailable` */
  read(name: string): Promise<StoredTenant>;
  /** @throws KeylineError `tenant_changed`, `write_key_taken`, `tenants_busy`, `store_unavailable` */
  put(name: string, input: TenantInput): Promise<StoredTenant>;
  /** Adds a key that is made here; what it says of the key is said once. @throws KeylineError `write_keys_full`, and as `put` */
  addKey(name: string): Promise<{ tenant: StoredTenant; id: string; writeKey: string }>;
  /** @throws KeylineError `write_key_not_found`, and as `put` */
  removeKey(name: string, id: string): Promise<StoredTenant>;
  /** @throws as `put` */
  remove(name: string): Promise<void>;
};

export function createTenantCatalog(options: {
  store: Pick<DocumentStore, "read" | "replace">;
  registry: Pick<TenantRegistry, "byHash" | "refresh">;
  now(): number;
}): TenantCatalog {
  const { store, registry, now } = options;

  function tenantIn(name: string, { version, document }: StoredDocument): StoredTenant | undefined {
    const settings = document === "" ? undefined : (JSON.parse(document) as TenantDocument);
    return settings && !("deleted" in settings) ? { name, version, ...settings } : undefined;
  }

  /**
   * Changes the document from what it is at that moment, and has this gateway know it; where that fails, the change is
   * made all the same, and known within a second as everywhere.
   */
  async function change(
    name: string,
    next: (before: StoredTenant | undefined) => TenantDocument,
  ): Promise<StoredTenant> {
    let after: StoredTenant | undefined;
    const nextText = (stored: StoredDocument, version: number) => {
      const document = next(tenantIn(name, stored));
      after = { name, version, ...document } as StoredTenant;
      return JSON.stringify(document);
    };
    if (await changeDocument(store, name, nextText, now)) {
      await registry.refresh().catch(() => {});
      return after!;
    }
    const message = `others changed the tenant ${name} at the same time; it is as they left it`;
    throw new KeylineError("tenants_busy", message, { retryable: true });
  }

  function refuseTaken(name: string, keys: readonly { hash: string; id: string }[]): void {
    for (const { hash, id } of keys) {
      const owner = registry.byHash(hash);
      if (owner === undefined || owner.name === name) continue;
      const message = "writeKeys: one of the keys is another tenant's; each tenant needs keys of its own";
      throw new KeylineError("write_key_taken", message, { path: "writeKeys", value: id });
    }
  }

  const existing = (name: string, tenant: StoredTenant | undefined): StoredTenant => {
    if (tenant) return tenant;
    throw new KeylineError("tenant_not_found", `there is no tenant ${name}`, { path: "tenant", value: name });
  };

  return {
    read: async (name) => existing(name, tenantIn(name, await store.read(name))),
    async put(name, input) {
      await registry.refresh();
      return change(name, (before) => {
        refuseChanged(name, before, input);
        const after = changedTenant(before, input, now());
        refuseTaken(name, after.writeKeys);
        return after;
      });
    },
    async addKey(name) {
      const writeKey = generateKey();
      const added = writeKeyOf(writeKey, now());
      const tenant = await change(name, (before) => {
        const { writeKeys, quotas } = existing(name, before);
        if (writeKeys.length < MAX_WRITE_KEYS) return { writeKeys: [...writeKeys, added], quotas };
        const message = `writeKeys: ${name} has ${writeKeys.length}, and no tenant more; remove one first`;
        throw new KeylineError("write_keys_full", message, { path: "writeKeys", value: writeKeys.length });
      });
      return { tenant, id: added.id, writeKey };
    },
    async removeKey(name, id) {
      return change(name, (before) => {
        const { writeKeys, quotas } = existing(name, before);
        const left = writeKeys.filter((each) => each.id !== id);
        if (left.length < writeKeys.length) return { writeKeys: left, quotas };
        throw new KeylineError("write_key_not_found", `${name} has no write key ${id}`, {
          path: "id",
          value: id,
        });
      });
    },
    async remove(name) {
      await change(name, (before) => {
        existing(name, before);
        return { deleted: true };
      });
    },
  };
}

/** What is made of settings that are others by now would undo another operator's change unseen. */
function refuseChanged(name: string, before: StoredTenant | undefined, { version }: TenantInput): void {
  const current = before?.version ?? 0;
  if (version === undefined || version === current) return;
  const now = before ? `${name} is of version ${current}` : `there is no tenant ${name}, which is version 0`;
  const message = `version: ${now}, not ${version}: others changed it, look at it again`;
  throw new KeylineError("tenant_changed", message, { path: "version", value: version });
}
