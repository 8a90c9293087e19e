/** The tenants' definitions in this process's memory, for the embedded mode and tests. Lost with the process. */
import type { ConsumerReport, DocumentStore, TenantDocument } from "../../ports/document-store.ts";
import { compareUtf8 } from "../utf8-order.ts";
import { storeClosed, storeFull } from "./embedded-store.ts";

export type MemoryDocumentStoreOptions = {
  /** Documents kept, and as many reports; one more fails. */
  maxEntries: number;
  /** Milliseconds since the epoch. Default: the system clock. */
  now?: () => number;
};

type StoredReport = ConsumerReport & { expiresAtMs: number };

export function createMemoryDocumentStore(options: MemoryDocumentStoreOptions): DocumentStore {
  const { maxEntries, now = Date.now } = options;
  const documents = new Map<string, TenantDocument & { changedAt: number }>();
  const reports = new Map<string, StoredReport>();
  let revision = 0;
  let closed = false;

  function assertOpen(): void {
    if (closed) throw storeClosed();
  }

  function removeExpired(): void {
    for (const [consumer, { expiresAtMs }] of reports) if (expiresAtMs <= now()) reports.delete(consumer);
  }

  return {
    async revision() {
      assertOpen();
      return revision;
    },
    async changedAfter(after) {
      assertOpen();
      return {
        revision,
        documents: new Map(
          [...documents]
            .filter(([, { changedAt }]) => changedAt > after)
            .map(([tenant, { version, document }]) => [tenant, { version, document }]),
        ),
      };
    },
    async read(tenant) {
      assertOpen();
      const { version, document } = documents.get(tenant) ?? { version: 0, document: "" };
      return { version, document };
    },
    async replace(tenant, expectedVersion, { version, document }) {
      assertOpen();
      const stored = documents.get(tenant);
      if ((stored?.version ?? 0) !== expectedVersion) return false;
      if (stored === undefined && documents.size >= maxEntries) throw storeFull(`${maxEntries} documents`);
      revision++;
      documents.set(tenant, { version, document, changedAt: revision });
      return true;
    },
    async report(consumer, report, ttlMs) {
      assertOpen();
      removeExpired();
      if (!reports.has(consumer) && reports.size >= maxEntries) throw storeFull(`${maxEntries} reports`);
      const atMs = now();
      reports.set(consumer, { consumer, atMs, report, expiresAtMs: atMs + ttlMs });
    },
    async reports() {
      assertOpen();
      removeExpired();
      return [...reports.values()]
        .map(({ consumer, atMs, report }) => ({ consumer, atMs, report }))
        .sort((a, b) => compareUtf8(a.consumer, b.consumer));
    },
    async close() {
      closed = true;
      documents.clear();
      reports.clear();
    },
  };
}
