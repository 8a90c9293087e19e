import type { HotUserPolicy } from "../../shared/domain/hot-user-policy.ts";
import type { DocumentStore } from "../../shared/ports/document-store.ts";
import { watchDocuments } from "../../shared/runtime/document-watch.ts";

export type HotUserPolicies = {
  /** Undefined where the tenant has none, or is not a gateway's. */
  of(tenant: string): HotUserPolicy | undefined;
  close(): Promise<void>;
};

/** What the tenants' quotas say of hot users, as it is read from their documents. */
export function watchHotUserPolicies(options: {
  tenantStore: Pick<DocumentStore, "revision" | "changedAfter">;
  onChange(tenant: string, policy: HotUserPolicy | undefined): void;
  onError(error: unknown): void;
}): HotUserPolicies {
  const { tenantStore: store, onChange, onError } = options;
  const policies = new Map<string, HotUserPolicy>();

  function put(tenant: string, policy: HotUserPolicy | undefined): void {
    if (JSON.stringify(policies.get(tenant)) === JSON.stringify(policy)) return;
    if (policy) policies.set(tenant, policy);
    else policies.delete(tenant);
    onChange(tenant, policy);
  }

  const watch = watchDocuments({
    ...{ store, what: "tenants", onError },
    known: () => policies.keys(),
    onGone: (tenant) => put(tenant, undefined),
    onChanged(documents) {
      for (const [tenant, { document }] of documents) put(tenant, policyIn(document));
    },
  });
  return { of: (tenant) => policies.get(tenant), close: watch.close };
}

/** None in what another build may have written. */
function policyIn(document: string): HotUserPolicy | undefined {
  try {
    const { quotas } = JSON.parse(document) as { quotas?: { hotUsers?: HotUserPolicy } };
    return quotas?.hotUsers;
  } catch {
    return undefined;
  }
}
