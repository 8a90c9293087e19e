/**
 * The tenants' schemas as this gateway has them, with what it has learned. New names are known here at once, and
 * written to the store every second; where gateways learn one name at once, the first to write it says what it is.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { DocumentStore, TenantDocument } from "../../../shared/ports/document-store.ts";
import { watchDocuments } from "../../../shared/runtime/document-watch.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import type { SchemaCatalog } from "./schema-catalog.ts";
import { readSchema } from "./schema-document.ts";
import { createSchema, type Learned, learn, type SchemaLimits, type TenantSchema } from "./tenant-schema.ts";

export type SchemaRegistry = {
  /** True from the first look that succeeded on. */
  isLoaded(): boolean;
  of(tenant: string): TenantSchema;
  /** Knows names from now on, as far as there is room for them. */
  learn(tenant: string, learned: Learned, limits: SchemaLimits): void;
  /** Looks, so that what the store has at the call is known. Rejects with `store_unavailable`. */
  refresh(): Promise<void>;
  /** Writes what is left to write, where the store is there. */
  close(): Promise<void>;
};

/**
 * What is learned and not written yet, as a schema of its own: what limits it, limits that. It was learned knowing the
 * document's `version`: where a later one has forgotten what was learned, it is forgotten too.
 */
type State = {
  /** Of the document that was read last; 0 where there is none. */
  version: number;
  schema: TenantSchema;
  unwritten: TenantSchema | undefined;
  /** What is being written. */
  writing: TenantSchema | undefined;
  /** The tenant's, when it last taught something. */
  limits: SchemaLimits;
};

const WRITE_EVERY_MS = 1_000;

export function startSchemaRegistry(options: {
  store: Pick<DocumentStore, "revision" | "changedAfter">;
  catalog: SchemaCatalog;
  onError(error: unknown): void;
  /** Default: a second. */
  writeEveryMs?: number;
}): SchemaRegistry {
  const { store, catalog, onError, writeEveryMs = WRITE_EVERY_MS } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const states = new Map<string, State>();

  function stateOf(tenant: string): State {
    const known = states.get(tenant);
    if (known) return known;
    const schema = createSchema();
    const state: State = { version: 0, schema, unwritten: undefined, writing: undefined, limits: {} };
    states.set(tenant, state);
    return state;
  }

  function take(documents: ReadonlyMap<string, TenantDocument>): void {
    for (const [tenant, { version, document }] of documents) {
      const state = stateOf(tenant);
      if (state.version === version) continue;
      const schema = readSchema(document);
      if (schema === undefined) {
        const message = `the schema of ${tenant} can't be read; the one it had goes on`;
        onError(new KeylineError("schema_unreadable", message, { path: tenant, value: version }));
        continue;
      }
      if (schema.forgottenAt > state.version)
        Object.assign(state, { writing: undefined, unwritten: undefined });
      for (const own of [state.writing, state.unwritten]) if (own) learn(schema, own, state.limits);
      Object.assign(state, { version, schema });
    }
  }

  async function write(tenant: string, state: State): Promise<void> {
    const { unwritten, version } = state;
    if (unwritten === undefined) return;
    Object.assign(state, { writing: unwritten, unwritten: undefined });
    try {
      await catalog.change(tenant, (stored) => {
        // Where the store lost it, what it had is put back with it.
        if (stored === undefined) return state.schema;
        if (stored.forgottenAt > version) return undefined;
        return learn(stored, unwritten, state.limits) ? stored : undefined;
      });
    } catch (error) {
      // Where it was forgotten meanwhile there is nothing to write any more.
      if (state.writing !== undefined) {
        if (state.unwritten) learn(unwritten, state.unwritten, state.limits);
        state.unwritten = unwritten;
      }
      throw error;
    } finally {
      state.writing = undefined;
    }
  }

  /** What can't be written of one tenant holds up no other, unless the store is away. */
  async function writeAll(): Promise<void> {
    const learned = [...states].filter(([, { unwritten }]) => unwritten !== undefined);
    if (learned.length === 0) return;
    for (const [tenant, state] of learned)
      try {
        await write(tenant, state);
      } catch (error) {
        onError(error);
        if (error instanceof KeylineError && error.code === "store_unavailable") return;
      }
    await watch.refresh().catch(onError);
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      await sleep(writeEveryMs, undefined, { signal }).catch(() => {});
      if (!signal.aborted) await writeAll();
    }
    await writeAll();
  }

  const watch = watchDocuments({
    ...{ store, what: "schemas", onError },
    known: () => [...states].filter(([, { version }]) => version > 0).map(([tenant]) => tenant),
    // A schema that is deleted leaves a document: this one was lost, and goes on.
    onGone: () => {},
    onChanged: take,
  });
  const running = run();
  return {
    isLoaded: watch.isLoaded,
    of: (tenant) => stateOf(tenant).schema,
    learn(tenant, learned, limits) {
      const state = stateOf(tenant);
      state.limits = limits;
      if (!learn(state.schema, learned, limits)) return;
      state.unwritten ??= createSchema();
      learn(state.unwritten, learned, limits);
    },
    refresh: watch.refresh,
    async close() {
      stopping.abort();
      await running;
      await watch.close();
    },
  };
}
