/** What the routes of definitions do with the catalog: look and save. */
import type { FastifyRequest } from "fastify";
import { type CompiledDefinitions, compileDefinitions } from "../../../shared/domain/definitions/compile.ts";
import type { Attribute, Audience, DefinitionSet } from "../../../shared/domain/definitions/definition.ts";
import { isProblem } from "../../../shared/domain/definitions/problem.ts";
import type { TenantDefinitions } from "../../../shared/domain/definitions/tenant-definitions.ts";
import { DefinitionRefused } from "../../../shared/http/http-errors.ts";
import type { Operators } from "../../../shared/http/operators.ts";
import type { DocumentStore } from "../../../shared/ports/document-store.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import type { Changed, DefinitionCatalog } from "../definition-catalog.ts";
import { isDifferent, storedUnder } from "../definition-diff.ts";
import type { DefinitionWatch } from "../definition-watch.ts";
import type * as schema from "./definition-schema.ts";
import { definitionView, type Reported, reportedOf } from "./definition-view.ts";

export type DefinitionRouteOptions = {
  catalog: DefinitionCatalog;
  definitionStore: Pick<DocumentStore, "reports">;
  watch: Pick<DefinitionWatch, "document" | "readable" | "refresh">;
  /** Who may write. */
  operators: Operators;
  /** Who may read beside them; undefined lets everyone. */
  readers: Operators | undefined;
};

export type Part = "attributes" | "audiences";
export const KIND = { attributes: "attribute", audiences: "audience" } as const;
export const READ_ERRORS = [400, 401, 404, 503] as const;
export const WRITE_ERRORS = [400, 401, 404, 409, 413, 415, 503] as const;

export type DefinitionReader = ReturnType<typeof createDefinitionReader>;

/** What a tenant has defined, as it was saved last: another process may have saved it a moment ago. */
export function createDefinitionReader({ catalog, definitionStore, watch }: DefinitionRouteOptions) {
  /** What this build can't compile can be looked at all the same. */
  function compiledOf(tenant: string, document: TenantDefinitions): CompiledDefinitions | undefined {
    const before = watch.readable(tenant);
    if (watch.document(tenant).version === document.version) return before;
    const compiled = compileDefinitions(document, { before });
    return isProblem(compiled) ? undefined : compiled;
  }

  function views(tenant: string, document: TenantDefinitions, reported: Reported) {
    const context = { document, compiled: compiledOf(tenant, document), reported };
    const all = (part: Part) =>
      Object.keys(document[part])
        .sort()
        .map((name) => definitionView(KIND[part], name, document[part][name]!, context));
    return { attributes: () => all("attributes"), audiences: () => all("audiences") };
  }

  return {
    document: catalog.read,
    reported: async (tenant: string) => reportedOf(tenant, await definitionStore.reports()),
    views,
    one(
      part: Part,
      name: string,
      tenant: string,
      document: TenantDefinitions,
      reported: Reported,
    ): schema.DefinitionView {
      const stored = storedUnder<Attribute | Audience>(document[part], name);
      if (!stored) throw notDefined(part, name, tenant);
      const context = { document, compiled: compiledOf(tenant, document), reported };
      return definitionView(KIND[part], name, stored, context);
    },
  };
}

export function notDefined(part: Part, name: string, tenant: string): KeylineError {
  const message = `tenant ${tenant} has no ${KIND[part]} ${JSON.stringify(name)}`;
  return new KeylineError("definition_not_found", message, { path: "name", value: name });
}

/** Saves a change with one line in the log, and looks at once, so that this process has it when it answers. */
export async function save(
  { catalog, watch, operators }: DefinitionRouteOptions,
  { log, headers }: FastifyRequest,
  tenant: string,
  edit: (set: DefinitionSet) => unknown,
  dryRun = false,
): Promise<Changed> {
  const changed = await catalog.change(tenant, edit, { dryRun });
  if (isProblem(changed)) throw new DefinitionRefused(changed);
  const { version, diff } = changed;
  if (!dryRun && isDifferent(diff)) {
    const name = operators.authenticate(headers.authorization)?.name ?? "operator";
    log.warn({ tenant, version, name, ...diff }, `${name} changed the definitions of tenant ${tenant}`);
  }
  // What is saved is saved: the watch looks by itself as well.
  if (!dryRun && watch.document(tenant).version < version) await watch.refresh().catch(() => {});
  return changed;
}
