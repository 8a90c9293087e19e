/** Tenants over the HTTP of the gateway. */
import type { HotUserPolicy } from "../../../shared/domain/hot-user-policy.ts";
import { serviceCall } from "../service-call.ts";

/** By their names, each with what it is of. */
export const quotaMeanings = {
  updatesPerSecond: "through all gateways together",
  burst: "updates at once after a rest",
  bulkPercent: "of updatesPerSecond, what bulk updates may take",
  maxUpdateBytes: "of one update",
  maxLinksPerUser: "records that aliases link to one user",
  maxAttributes: "in the tenant's schema",
  maxEventNames: "in the tenant's schema",
  maxPropertiesPerEvent: "of each event in the tenant's schema",
} as const;
export type Quotas = { [name in keyof typeof quotaMeanings]?: number } & { hotUsers?: HotUserPolicy };
export type ListedTenant = {
  tenant: string;
  writeKeys: { id: string; addedAt: string }[];
  quotas: Quotas;
  version: number;
};

/** A tenant's schema as the gateway shows it. */
export type ShownSchema = {
  mode: string;
  unknown: string;
  events: Record<
    string,
    { origin: string; mode?: string; properties: Record<string, { type: string; origin: string }> }
  >;
  attributes: Record<string, { kind: string; type?: string; origin: string }>;
  problems: Record<string, number>;
};

/** Each rejects with `keyline_unreachable`, retryable, or a `RefusedByService`. */
export type TenantClient = {
  list(): Promise<{ tenants: ListedTenant[] }>;
  show(tenant: string): Promise<ListedTenant>;
  /** @param settings.version which they were made of, 0 for none: `tenant_changed` where it is another by now */
  put(tenant: string, settings: { quotas: Quotas; version?: number | undefined }): Promise<ListedTenant>;
  remove(tenant: string): Promise<void>;
  addKey(tenant: string): Promise<{ id: string; writeKey: string }>;
  removeKey(tenant: string, id: string): Promise<ListedTenant>;
  schema(tenant: string): Promise<ShownSchema>;
  declare(tenant: string, schema: object): Promise<ShownSchema>;
};

export function createTenantClient(options: { url: string; token: string }): TenantClient {
  const call = serviceCall({ ...options, setting: "GATEWAY_URL" });
  const of = (tenant: string) => `/admin/tenants/${encodeURIComponent(tenant)}`;
  return {
    list: () => call("GET", "/admin/tenants"),
    show: (tenant) => call("GET", of(tenant)),
    put: (tenant, settings) => call("PUT", of(tenant), settings),
    remove: (tenant) => call("DELETE", of(tenant)),
    addKey: (tenant) => call("POST", `${of(tenant)}/write-keys`),
    removeKey: (tenant, id) => call("DELETE", `${of(tenant)}/write-keys/${encodeURIComponent(id)}`),
    schema: (tenant) => call("GET", `${of(tenant)}/schema`),
    declare: (tenant, schema) => call("PUT", `${of(tenant)}/schema`, schema),
  };
}
