/**
 * What the tenants have defined, as this process has it. It looks for changes all the time; where it could not look
 * for as long as a change may take to be taken up everywhere, nothing is folded until it could.
 */
import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { workspaceOf } from "../../shared/domain/calculation-workspace.ts";
import {
  type CompiledDefinitions,
  compileDefinitions,
  NO_DEFINITIONS,
} from "../../shared/domain/definitions/compile.ts";
import { isProblem } from "../../shared/domain/definitions/problem.ts";
import {
  NO_TENANT_DEFINITIONS,
  TAKEN_UP_WITHIN_MS,
  type TenantDefinitions,
} from "../../shared/domain/definitions/tenant-definitions.ts";
import type { DocumentStore, TenantDocument } from "../../shared/ports/document-store.ts";
import { KeylineError, toError } from "../../shared/runtime/errors.ts";
import { tellSecondFailure } from "../../shared/runtime/tell-second-failure.ts";
import { type ConsumerCosts, createCostReport } from "./definition-costs.ts";

/** What this consumer says of itself in the definition store. */
export type WatchReport = {
  /** By tenant. */
  versions: Record<string, number>;
  costs: ConsumerCosts;
};

export type DefinitionWatch = {
  /** True from the first look that succeeded on: what tenants defined before this process began is known then. */
  isLoaded(): boolean;
  /** True while what `of` gives is what every consumer may go by. */
  isFresh(): boolean;
  /** Looks, from now on; so what the store has at the call is taken up. Rejects with `store_unavailable`. */
  refresh(): Promise<void>;
  /**
   * What is defined, ready to run.
   * @throws KeylineError `definitions_not_loaded`, retryable; `definitions_unreadable`: another build wrote them
   */
  of(tenant: string): CompiledDefinitions;
  /** The same; undefined where `of` throws. */
  readable(tenant: string): CompiledDefinitions | undefined;
  /** As it is kept; nothing until `isLoaded`. */
  document(tenant: string): TenantDefinitions;
  /** By tenant. */
  versions(): Record<string, number>;
  close(): Promise<void>;
};

const LOOK_EVERY_MS = 500;
const REPORT_EVERY_MS = 2_000;
const REPORT_TTL_MS = 3 * REPORT_EVERY_MS;

type Compiled = { document: TenantDefinitions; compiled: CompiledDefinitions | KeylineError };
type Known = Compiled & { text: string };

export function startDefinitionWatch(options: {
  store: DocumentStore;
  /** Names this process in its reports. */
  consumer: string;
  /** A tenant's definitions are taken up, or can't be. */
  onChange(tenant: string, version: number, compiled: CompiledDefinitions | KeylineError): void;
  /** Where the store can't be asked: from the second time in a row on. */
  onError(error: unknown): void;
}): DefinitionWatch {
  const { store, consumer } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const known = new Map<string, Known>();
  const costs = createCostReport(() => known);
  let revision = -1;
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  let looking: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  let reportedAtMs = Number.NEGATIVE_INFINITY;

  async function look(): Promise<void> {
    const startedMs = performance.now();
    const current = await store.revision();
    if (current !== revision) {
      // A store that lost its last second has gone back: then all that it has is looked at.
      const { revision: read, documents } = await store.changedAfter(current < revision ? -1 : revision);
      for (const [tenant, document] of documents) {
        if (!take(tenant, document)) continue;
        await setImmediate();
        prepare(tenant);
        await setImmediate();
      }
      revision = read;
    }
    lookedAtMs = startedMs;
  }

  /** Compiling takes a tenant with thousands of audiences some tens of milliseconds: others get a turn in between. */
  function take(tenant: string, { version, document }: TenantDocument): boolean {
    const before = known.get(tenant);
    if (before?.text === document && before.document.version === version) return false;
    const next = { ...compiledFrom(tenant, version, document, before), text: document };
    known.set(tenant, next);
    options.onChange(tenant, version, next.compiled);
    return true;
  }

  /** Else the first fold would do it. */
  function prepare(tenant: string): void {
    const compiled = known.get(tenant)?.compiled;
    if (compiled && !(compiled instanceof KeylineError)) workspaceOf(compiled);
  }

  /** A look that is under way may have read before there was what the caller asks for: it is not the caller's. */
  function refresh(): Promise<void> {
    next ??= (looking ?? Promise.resolve())
      .catch(() => {})
      .then(() => {
        next = undefined;
        looking = look().finally(() => {
          looking = undefined;
        });
        return looking;
      });
    return next;
  }

  async function report(): Promise<void> {
    if (performance.now() - reportedAtMs < REPORT_EVERY_MS) return;
    reportedAtMs = performance.now();
    const text: WatchReport = { versions: versions(), costs: costs.take(reportedAtMs) };
    await store.report(consumer, JSON.stringify(text), REPORT_TTL_MS);
  }

  function versions(): Record<string, number> {
    return Object.fromEntries([...known].map(([tenant, { document }]) => [tenant, document.version]));
  }

  async function run(): Promise<void> {
    const attempted = tellSecondFailure(options.onError);
    while (!signal.aborted) {
      await attempted(refresh().then(report));
      await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => {});
    }
  }

  const isLoaded = () => lookedAtMs !== Number.NEGATIVE_INFINITY;
  const running = run();
  return {
    isLoaded,
    isFresh: () => performance.now() - lookedAtMs < TAKEN_UP_WITHIN_MS,
    refresh,
    of(tenant) {
      if (!isLoaded()) throw notLoaded();
      const compiled = known.get(tenant)?.compiled ?? NO_DEFINITIONS;
      if (compiled instanceof KeylineError) throw compiled;
      return compiled;
    },
    readable(tenant) {
      const compiled = known.get(tenant)?.compiled ?? NO_DEFINITIONS;
      return compiled instanceof KeylineError || !isLoaded() ? undefined : compiled;
    },
    document: (tenant) => known.get(tenant)?.document ?? NO_TENANT_DEFINITIONS,
    versions,
    async close() {
      stopping.abort();
      await running;
    },
  };
}

function compiledFrom(tenant: string, version: number, text: string, before: Known | undefined): Compiled {
  try {
    const document = { ...(JSON.parse(text) as TenantDefinitions), version };
    const old = before && !(before.compiled instanceof KeylineError) ? { before: before.compiled } : {};
    const compiled = compileDefinitions(document, { clockMs: () => performance.now(), ...old });
    if (!isProblem(compiled)) return { document, compiled };
    return { document, compiled: unreadable(tenant, `${compiled.path}: ${compiled.message}`) };
  } catch (error) {
    return {
      document: { ...NO_TENANT_DEFINITIONS, version },
      compiled: unreadable(tenant, toError(error).message),
    };
  }
}

function notLoaded(): KeylineError {
  const text = "the tenants' definitions are not loaded yet: the store has not answered since the start";
  return new KeylineError("definitions_not_loaded", text, { retryable: true });
}

function unreadable(tenant: string, why: string): KeylineError {
  const text = `this build can't read the definitions of tenant ${tenant}: ${why}`;
  return new KeylineError("definitions_unreadable", text, { value: tenant, retryable: true });
}
