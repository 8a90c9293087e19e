import type { CompiledDefinitions } from "../../../shared/domain/definitions/compile.ts";
import { type Attribute, type Audience, isEnabled } from "../../../shared/domain/definitions/definition.ts";
import type {
  Standing,
  Stored,
  TenantDefinitions,
} from "../../../shared/domain/definitions/tenant-definitions.ts";
import type { ConsumerReport } from "../../../shared/ports/document-store.ts";
import type { DefinitionCost } from "../definition-costs.ts";
import { readsOf, sortReads } from "../definition-reads.ts";
import type { WatchReport } from "../definition-watch.ts";
import type { DefinitionView } from "./definition-schema.ts";
import { isoTime } from "./iso-time.ts";

/** What the consumers say of one tenant's definitions. */
export type Reported = {
  /** By consumer, the version that it has. */
  versions: { name: string; version: number }[];
  /** By definition, summed. */
  costs: ReadonlyMap<string, Cost>;
};

type Cost = DefinitionView["cost"];

const NO_COST: Cost = { evaluationsPerSecond: 0, busyMsPerSecond: 0, failures: 0, late: 0, skipped: 0 };

/** Reports that another build wrote in another form are passed over. */
export function reportedOf(tenant: string, reports: readonly ConsumerReport[]): Reported {
  const costs = new Map<string, Cost>();
  const versions = reports.flatMap(({ consumer, report }) => {
    const parsed = parseReport(report);
    if (!parsed) return [];
    for (const [name, cost] of Object.entries(own(parsed.costs, tenant) ?? {}))
      costs.set(name, sumOf(costs.get(name) ?? NO_COST, cost));
    return [{ name: consumer, version: own(parsed.versions, tenant) ?? 0 }];
  });
  return { versions, costs };
}

/** A tenant may be called `constructor`. */
function own<V>(record: Record<string, V>, tenant: string): V | undefined {
  return Object.hasOwn(record, tenant) ? record[tenant] : undefined;
}

function parseReport(text: string): WatchReport | undefined {
  try {
    const report = JSON.parse(text) as Partial<WatchReport>;
    return report.versions && report.costs ? (report as WatchReport) : undefined;
  } catch {
    return undefined;
  }
}

function sumOf(a: Cost, b: DefinitionCost): Cost {
  const lastError = b.lastError ?? a.lastError;
  return {
    evaluationsPerSecond: a.evaluationsPerSecond + b.evaluationsPerSecond,
    busyMsPerSecond: a.busyMsPerSecond + b.busyMsPerSecond,
    failures: a.failures + b.failures,
    late: a.late + b.late,
    skipped: a.skipped + b.skipped,
    ...(lastError === undefined ? {} : { lastError }),
  };
}

/** One definition as readers get it. `compiled` is undefined where this build can't compile the document. */
export function definitionView(
  kind: DefinitionView["kind"],
  name: string,
  { definition, standing }: Stored<Attribute | Audience>,
  context: { document: TenantDefinitions; compiled: CompiledDefinitions | undefined; reported: Reported },
): DefinitionView {
  const { document, compiled, reported } = context;
  const place = compiled?.attributeAt.get(name);
  const type = kind === "audience" ? "bool" : place === undefined ? null : compiled!.attributes[place]!.type;
  return {
    name,
    kind,
    definition,
    ...standingView(standing, definition),
    type: isEnabled(definition) ? type : null,
    reads: sortReads(compiledReads(compiled, name) ?? readsOf(definition), document),
    cost: reported.costs.get(name) ?? NO_COST,
  } as DefinitionView;
}

/** What is compiled need not be parsed again. */
function compiledReads(
  compiled: CompiledDefinitions | undefined,
  name: string,
): ReadonlySet<string> | undefined {
  const [place, audience] = [compiled?.attributeAt.get(name), compiled?.audienceAt.get(name)];
  if (audience !== undefined) return compiled!.audiences[audience]!.rule.reads;
  return place === undefined ? undefined : compiled!.attributes[place]!.derive?.reads;
}

/** How far a definition is, in every answer about one. */
export function standingView({ generation, version, sinceMs }: Standing, definition: { enabled?: boolean }) {
  const enabled = isEnabled(definition);
  return { generation, version, since: isoTime(sinceMs), complete: false as const, enabled };
}
