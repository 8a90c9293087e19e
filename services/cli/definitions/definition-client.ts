/** A tenant's definitions over the HTTP of the audience-update service. */
import { serviceCall } from "../service-call.ts";

export type DefinitionChange = {
  version: number;
  added: string[];
  changed: string[];
  removed: string[];
};

/** One definition as the service shows it; what is used here. */
export type ListedDefinition = {
  name: string;
  version: number;
  since: string;
  enabled: boolean;
  type: string | null;
  definition: Record<string, unknown>;
  cost: { evaluationsPerSecond: number; busyMsPerSecond: number; failures: number; lastError?: string };
};
export type ListedDefinitions = {
  version: number;
  attributes: ListedDefinition[];
  audiences: ListedDefinition[];
  consumers: { name: string; version: number; upToDate: boolean }[];
};

export type DefinitionClient = {
  /** Each rejects with `keyline_unreachable`, retryable, or a `RefusedByService`. */
  put(tenant: string, set: object, options: { dryRun: boolean }): Promise<DefinitionChange>;
  list(tenant: string): Promise<ListedDefinitions>;
};

export function createDefinitionClient(options: { url: string; token: string }): DefinitionClient {
  const call = serviceCall({ ...options, setting: "KEYLINE_URL" });
  const of = (tenant: string) => `/v1/tenants/${encodeURIComponent(tenant)}/definitions`;
  return {
    put: (tenant, set, { dryRun }) => call("PUT", `${of(tenant)}${dryRun ? "?dryRun=true" : ""}`, set),
    list: (tenant) => call("GET", of(tenant)),
  };
}
