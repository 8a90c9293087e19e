/** Tenants over the HTTP of the gateway. */
import { serviceCall } from "../service-call.ts";

export type Quotas = { updatesPerSecond?: number; burst?: number; maxUpdateBytes?: number };
export type ListedTenant = {
  tenant: string;
  writeKeys: { id: string; addedAt: string }[];
  quotas: Quotas;
};

/** Each rejects with `keyline_unreachable`, retryable, or a `RefusedByService`. */
export type TenantClient = {
  list(): Promise<{ tenants: ListedTenant[] }>;
  show(tenant: string): Promise<ListedTenant>;
  put(tenant: string, settings: { writeKeys?: string[]; quotas?: Quotas }): Promise<ListedTenant>;
  remove(tenant: string): Promise<void>;
  addKey(tenant: string): Promise<{ id: string; writeKey: string }>;
  removeKey(tenant: string, id: string): Promise<ListedTenant>;
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
  };
}
