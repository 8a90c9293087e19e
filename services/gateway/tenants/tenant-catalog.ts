/** What operators do to tenants, as steps on their documents. */
import type { DocumentStore } from "../../../shared/ports/document-store.ts";
import { changeDocument } from "../../../shared/runtime/change-document.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import {
  changedTenant,
  generateKey,
  MAX_WRITE_KEYS,
  type Tenant,
  type TenantDocument,
  type TenantInput,
  writeKeyOf,
} from "./tenant.ts";
import type { TenantRegistry } from "./tenant-registry.ts";

export type TenantCatalog = {
  /** From the store itself. @throws KeylineError `tenant_not_found`, `store_unavailable` */
  read(name: string): Promise<Tenant>;
  /** @throws KeylineError `write_key_taken`, `tenants_busy`, `store_unavailable` */
  put(name: string, input: TenantInput): Promise<Tenant>;
  /** Adds a key that is made here; what it says of the key is said once. @throws KeylineError `write_keys_full`, and as `put` */
  addKey(name: string): Promise<{ tenant: Tenant; id: string; writeKey: string }>;
  /** @throws KeylineError `write_key_not_found`, and as `put` */
  removeKey(name: string, id: string): Promise<Tenant>;
  /** @throws as `put` */
  remove(name: string): Promise<void>;
};

export function createTenantCatalog(options: {
  store: Pick<DocumentStore, "read" | "replace">;
  registry: Pick<TenantRegistry, "byHash" | "refresh">;
  now(): number;
}): TenantCatalog {
  const { store, registry, now } = options;

  function tenantIn(name: string, { document }: { document: string }): Tenant | undefined {
    const settings = document === "" ? undefined : (JSON.parse(document) as TenantDocument);
    return settings && !("deleted" in settings) ? { name, ...settings } : undefined;
  }

  /**
   * Changes the document from what it is at that moment, and has this gateway know it; where that fails, the change is
   * made all the same, and known within a second as everywhere.
   */
  async function change(
    name: string,
    next: (before: Tenant | undefined) => TenantDocument,
  ): Promise<TenantDocument> {
    let after: TenantDocument | undefined;
    const nextText = (stored: { document: string }) => {
      after = next(tenantIn(name, stored));
      return JSON.stringify(after);
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

  const tenantOf = (name: string, document: TenantDocument) => ({ name, ...document }) as Tenant;
  const existing = (name: string, tenant: Tenant | undefined): Tenant => {
    if (tenant) return tenant;
    throw new KeylineError("tenant_not_found", `there is no tenant ${name}`, { path: "tenant", value: name });
  };

  return {
    read: async (name) => existing(name, tenantIn(name, await store.read(name))),
    async put(name, input) {
      await registry.refresh();
      const document = await change(name, (before) => {
        const after = changedTenant(before, input, now());
        refuseTaken(name, after.writeKeys);
        return after;
      });
      return tenantOf(name, document);
    },
    async addKey(name) {
      const writeKey = generateKey();
      const added = writeKeyOf(writeKey, now());
      const document = await change(name, (before) => {
        const { writeKeys, quotas } = existing(name, before);
        if (writeKeys.length < MAX_WRITE_KEYS) return { writeKeys: [...writeKeys, added], quotas };
        const message = `writeKeys: ${name} has ${writeKeys.length}, and no tenant more; remove one first`;
        throw new KeylineError("write_keys_full", message, { path: "writeKeys", value: writeKeys.length });
      });
      return { tenant: tenantOf(name, document), id: added.id, writeKey };
    },
    async removeKey(name, id) {
      const document = await change(name, (before) => {
        const { writeKeys, quotas } = existing(name, before);
        const left = writeKeys.filter((each) => each.id !== id);
        if (left.length < writeKeys.length) return { writeKeys: left, quotas };
        throw new KeylineError("write_key_not_found", `${name} has no write key ${id}`, {
          path: "id",
          value: id,
        });
      });
      return tenantOf(name, document);
    },
    async remove(name) {
      await change(name, (before) => {
        existing(name, before);
        return { deleted: true };
      });
    },
  };
}
