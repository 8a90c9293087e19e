/** The tenants' schemas in their store, changed in steps of which none is lost to another. */
import type { DocumentStore } from "../../../shared/ports/document-store.ts";
import { changeDocument } from "../../../shared/runtime/change-document.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import { readSchema, writeSchema } from "./schema-document.ts";
import type { TenantSchema } from "./tenant-schema.ts";

export type SchemaCatalog = {
  /**
   * Puts what `next` makes of the stored schema in its place. It may be asked several times, each time of a schema that
   * is its own to change; undefined where nothing is stored. What it answers with undefined stays as it is. `version`
   * is the one that the document will have.
   *
   * @throws KeylineError `schema_busy`, `schema_unreadable`, `store_unavailable`, and what `next` throws
   */
  change(
    tenant: string,
    next: (stored: TenantSchema | undefined, version: number) => TenantSchema | undefined,
  ): Promise<void>;
};

export function createSchemaCatalog(options: {
  store: Pick<DocumentStore, "read" | "replace">;
  /** Milliseconds since the epoch. */
  now(): number;
}): SchemaCatalog {
  const { store, now } = options;
  return {
    async change(tenant, next) {
      const nextText = ({ document }: { document: string }, version: number) => {
        const schema = next(document === "" ? undefined : parsed(tenant, document), version);
        return schema && writeSchema(schema);
      };
      if (await changeDocument(store, tenant, nextText, now)) return;
      const message = `others changed the schema of ${tenant} at the same time; it is as they left it`;
      throw new KeylineError("schema_busy", message, { retryable: true });
    },
  };
}

/** What can't be read is not written over. */
function parsed(tenant: string, document: string): TenantSchema {
  const schema = readSchema(document);
  if (schema) return schema;
  const message = `the schema of ${tenant} can't be read; it is as it was`;
  throw new KeylineError("schema_unreadable", message, { path: tenant });
}
