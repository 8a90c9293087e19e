/** What the simulated tenant has defined, and how that changes in a share of the runs. */
import { type CompiledDefinitions, compileDefinitions } from "../../shared/domain/definitions/compile.ts";
import { isProblem } from "../../shared/domain/definitions/problem.ts";
import {
  NO_TENANT_DEFINITIONS,
  replaceDefinitions,
  type TenantDefinitions,
} from "../../shared/domain/definitions/tenant-definitions.ts";
import type { DefinitionsInput } from "../support/recompute.ts";
import type { World } from "./network.ts";
import type { SimulatedRedis } from "./simulated-redis.ts";

export const TENANT = "sim";

/** One version of them, as its author wrote it and ready to run. */
export type DefinitionsVersion = {
  document: TenantDefinitions;
  compiled: CompiledDefinitions;
  /** When the store got it. */
  storedMs: number;
};

export type SimulatedDefinitions = {
  /** Puts the first version there. */
  begin(): Promise<void>;
  /** Changes something, each time something else. */
  change(): Promise<void>;
  /** In their order. */
  versions: ReadonlyMap<number, DefinitionsVersion>;
  first(): DefinitionsVersion;
  latest(): DefinitionsVersion;
};

type Input = { attributes: Record<string, object>; audiences: Record<string, object> };

const FIRST: Input = {
  attributes: {
    views_1m: { event: "viewed", aggregate: "count", window: "1m" },
    spend_2m: { event: "ordered", aggregate: "sum", of: "amount", window: "2m" },
    best: { event: "ordered", where: "event.amount > 0.0", aggregate: "max", of: "amount" },
    seen_3m: { event: "viewed", aggregate: "exists", window: "3m" },
    last_view: { event: "viewed", aggregate: "last", of: "amount" },
    idle_days: { event: "ordered", aggregate: "days_since" },
    heat: { derive: "double(views_1m) + spend_2m" },
  },
  audiences: {
    hot: { rule: "heat >= 2.0" },
    lookers: { rule: "seen_3m && spend_2m == 0.0" },
    vips: { rule: "'vip' in tags && points > 100.0" },
    hot_vips: { rule: "hot && vips" },
    fresh_buyers: { rule: "idle_days < 1.0 && best > 0.0" },
    on_trial: { rule: "now < timestamp(trial_ends)" },
  },
};

/** What is done to them, one after the other. */
const CHANGES: readonly ((input: Input) => void)[] = [
  ({ audiences }) => Object.assign(audiences.vips!, { rule: "'vip' in tags && points > 60.0" }),
  ({ audiences }) => Object.assign(audiences.lookers!, { enabled: false }),
  ({ attributes }) => Object.assign(attributes, { orders: { event: "ordered", aggregate: "count" } }),
  ({ audiences }) => Object.assign(audiences, { loyal: { rule: "orders >= 1 || views_1m >= 3" } }),
  ({ audiences }) => Object.assign(audiences.lookers!, { enabled: true }),
  ({ audiences }) => Object.assign(audiences.hot!, { rule: "heat >= 1.0" }),
];

export function createDefinitions({ time }: World, { definitions }: SimulatedRedis): SimulatedDefinitions {
  const input = structuredClone(FIRST);
  const versions = new Map<number, DefinitionsVersion>();
  let document = NO_TENANT_DEFINITIONS;
  let changes = 0;

  /** As the API does it. */
  async function store(): Promise<void> {
    const before = document.version;
    const replaced = replaceDefinitions(document, structuredClone(input), time.now());
    if (isProblem(replaced)) throw new Error(`${replaced.path}: ${replaced.message}`);
    const compiled = compileDefinitions(replaced);
    if (isProblem(compiled)) throw new Error(`${compiled.path}: ${compiled.message}`);
    document = replaced;
    versions.set(document.version, { document, compiled, storedMs: time.now() });
    const next = { version: document.version, document: JSON.stringify(document) };
    await definitions.replace(TENANT, before, next);
  }

  return {
    begin: store,
    async change() {
      const change = CHANGES[changes];
      if (!change) return;
      changes += 1;
      change(input);
      await store();
    },
    versions,
    first: () => versions.values().next().value!,
    latest: () => versions.get(document.version)!,
  };
}

/** Of a document, what its author wrote, without what is disabled. */
export function inputOf({ attributes, audiences }: TenantDefinitions): DefinitionsInput {
  const enabled = <D>(all: Record<string, { definition: D }>) =>
    Object.fromEntries(
      Object.entries(all)
        .filter(([, { definition }]) => (definition as { enabled?: boolean }).enabled !== false)
        .map(([name, { definition }]) => [name, definition]),
    );
  return { attributes: enabled(attributes), audiences: enabled(audiences) } as DefinitionsInput;
}
