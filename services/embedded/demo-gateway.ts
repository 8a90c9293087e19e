import { createMemoryDocumentStore } from "../../shared/adapters/memory/memory-document-store.ts";
import { createMemoryLinkStore } from "../../shared/adapters/memory/memory-link-store.ts";
import { createMemoryRateStore } from "../../shared/adapters/memory/memory-rate-store.ts";
import type { DocumentStore } from "../../shared/ports/document-store.ts";
import type { Publisher } from "../../shared/publish/publisher.ts";
import type { Log } from "../../shared/runtime/log.ts";
import type { Values } from "../../shared/runtime/settings.ts";
import { type Gateway, startGateway } from "../gateway/gateway.ts";
import type { gatewaySettings } from "../gateway/settings.ts";
import { generateKey, type TenantDocument, writeKeyOf } from "../gateway/tenants/tenant.ts";

/** The gateway, and the key of a tenant that is there from the start. */
export type DemoGateway = Gateway & { tenant: string; writeKey: string };

const TENANT = "demo";
const MAX_TENANTS = 1_000;
const MAX_LINKED_USERS = 10_000;

/** The gateway as it is, on tenants in memory. */
export async function startDemoGateway(options: {
  publisher: Pick<Publisher, "publishAll">;
  tenantStore: DocumentStore;
  settings: Pick<
    Values<typeof gatewaySettings>,
    "gatewayHost" | "gatewayPort" | "adminToken" | "maxUnderWay" | "maxBodyBytes" | "maxImportBytes"
  >;
  log: Log;
}): Promise<DemoGateway> {
  const writeKey = generateKey();
  const document: TenantDocument = { writeKeys: [writeKeyOf(writeKey, Date.now())], quotas: {} };
  const { tenantStore } = options;
  await tenantStore.replace(TENANT, 0, { version: Date.now(), document: JSON.stringify(document) });
  const rateStore = createMemoryRateStore({ maxBuckets: MAX_TENANTS });
  const schemaStore = createMemoryDocumentStore({ maxEntries: MAX_TENANTS });
  const linkStore = createMemoryLinkStore({ maxUsers: MAX_LINKED_USERS });
  const stores = { tenantStore, schemaStore, rateStore, linkStore, localRateStore: rateStore };
  const gateway = await startGateway({ ...options, ...stores, now: Date.now });
  return { ...gateway, tenant: TENANT, writeKey };
}
