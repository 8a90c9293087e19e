/**
 * Looks for changes of the tenants' documents all the time. While their store is away, what was known last goes on: an
 * outage of Redis must not stop what Pulsar takes.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { DocumentStore, TenantDocument } from "../ports/document-store.ts";
import { KeylineError } from "./errors.ts";
import { tellSecondFailure } from "./tell-second-failure.ts";

export type DocumentWatch = {
  /** True from the first look that succeeded on. */
  isLoaded(): boolean;
  /** Looks, so that what the store has at the call is known. Rejects with `store_unavailable`. */
  refresh(): Promise<void>;
  close(): Promise<void>;
};

const LOOK_EVERY_MS = 500;
const LOOK_AT_ALL_EVERY_MS = 60_000;

export function watchDocuments(options: {
  store: Pick<DocumentStore, "revision" | "changedAfter">;
  /** What the documents are, for the code `..._lost` of an error. */
  what: "tenants" | "schemas" | "settings";
  /** Whose documents were read before, as far as they are still known. */
  known(): Iterable<string>;
  /** Their store has others, and none of this tenant any more. */
  onGone(tenant: string): void;
  onChanged(documents: ReadonlyMap<string, TenantDocument>): void;
  /** Where the store can't be asked: from the second time in a row on. */
  onError(error: unknown): void;
  /** Default: a minute. */
  lookAtAllEveryMs?: number | undefined;
}): DocumentWatch {
  const { store, what, lookAtAllEveryMs = LOOK_AT_ALL_EVERY_MS } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  let revision: number | undefined;
  let lookedAtAllMs = Number.NEGATIVE_INFINITY;

  async function look(): Promise<void> {
    const current = await store.revision();
    const nowMs = performance.now();
    // A store that lost its last second has gone back, and may be further on again before anyone looks.
    const all = revision === undefined || current < revision || nowMs - lookedAtAllMs >= lookAtAllEveryMs;
    if (current === revision && !all) return;
    const { revision: read, documents } = await store.changedAfter(all ? -1 : revision!);
    if (all) {
      const known = [...options.known()];
      // What is deleted leaves a document. A client that is told 401 drops what it has, so nobody's key ends by this.
      if (documents.size === 0 && known.length > 0) {
        const message = "their store has none any more; those it had go on";
        options.onError(new KeylineError(`${what}_lost`, message));
        return;
      }
      for (const tenant of known) if (!documents.has(tenant)) options.onGone(tenant);
      lookedAtAllMs = nowMs;
    }
    options.onChanged(documents);
    revision = read;
  }

  async function run(): Promise<void> {
    const attempted = tellSecondFailure(options.onError);
    while (!signal.aborted) {
      await attempted(look());
      await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => {});
    }
  }

  const running = run();
  return {
    isLoaded: () => revision !== undefined,
    refresh: look,
    async close() {
      stopping.abort();
      await running;
    },
  };
}
