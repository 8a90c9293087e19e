/** What becomes of each update by its tenant's schema, on its way to the publisher. */

import { refusalOf, type UpdateInput } from "../../../shared/publish/update-input.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import { errorOf } from "../accept.ts";
import type { Tenant } from "../tenants/tenant.ts";
import { checkUpdate } from "./check-update.ts";
import type { Findings, SchemaProblem } from "./findings.ts";
import type { SchemaRegistry } from "./schema-registry.ts";

/** What became of what is not as a schema says: of values and names, where they were warned of or dropped, else of updates. */
export const problemResults = ["warned", "dropped", "rejected", "overQuota"] as const;
export type ProblemResult = (typeof problemResults)[number];
export type ProblemCounts = Record<ProblemResult, number>;

export type SchemaCheck = {
  /** The update that is to be published, itself or without what is dropped; or why it is not taken. */
  check(tenant: Tenant, update: UpdateInput): UpdateInput | KeylineError;
  /** Of a tenant, since this gateway started. */
  problemsOf(tenant: string): ProblemCounts;
};

export function createSchemaCheck(options: {
  registry: Pick<SchemaRegistry, "isLoaded" | "of" | "learn">;
  onProblem(tenant: string, result: ProblemResult, count: number): void;
  /** What is taken all the same; may come with each update. */
  onWarning(tenant: string, warning: KeylineError): void;
}): SchemaCheck {
  const { registry, onProblem, onWarning } = options;
  const counts = new Map<string, ProblemCounts>();

  function count(tenant: string, result: ProblemResult, by: number): void {
    if (by === 0) return;
    const known = counts.get(tenant) ?? noProblems();
    known[result] += by;
    counts.set(tenant, known);
    onProblem(tenant, result, by);
  }

  function settle(
    { name, quotas }: Tenant,
    update: UpdateInput,
    findings: Findings,
  ): UpdateInput | KeylineError {
    const { refused, warned, dropped, ops, learned } = findings;
    if (refused) {
      count(name, refused.code === "quota_exceeded" ? "overQuota" : "rejected", 1);
      return errorOf(refused);
    }
    if (ops.length === 0) {
      count(name, "rejected", 1);
      return errorOf(nothingLeft(dropped[0]!));
    }
    count(name, "warned", warned.length);
    if (warned[0]) onWarning(name, errorOf(warned[0]));
    count(name, "dropped", dropped.length);
    registry.learn(name, learned, quotas);
    return ops === update.ops ? update : { ...update, ops: [...ops] };
  }

  return {
    check(tenant, update) {
      if (!registry.isLoaded()) {
        const message =
          "the schemas are not read yet: their store has not answered since this gateway started";
        return new KeylineError("schemas_not_loaded", message, { retryable: true });
      }
      const findings = checkUpdate(registry.of(tenant.name), update.ops, tenant.quotas);
      if (findings === undefined) return update;
      // What the publisher will refuse teaches nothing, and is told with the places that it came with.
      return refusalOf(update) ?? settle(tenant, update, findings);
    },
    problemsOf: (tenant) => ({ ...(counts.get(tenant) ?? noProblems()) }),
  };
}

function noProblems(): ProblemCounts {
  return { warned: 0, dropped: 0, rejected: 0, overQuota: 0 };
}

function nothingLeft(problem: SchemaProblem): SchemaProblem {
  return { ...problem, message: `${problem.message}; without it nothing is left of the update` };
}
