/**
 * Sees to it that time passes for users to whom nothing else happens: for each due moment that has come it publishes a
 * tick, into the same flow as any update. An entry leaves the due store only once its tick is durable, so that a crash,
 * or a publish that failed, brings it again after `holdMs`; a second tick of one moment changes nothing.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { userKey } from "../../shared/domain/envelope.ts";
import type { DueEntry, DueStore } from "../../shared/ports/due-store.ts";
import type { Publisher } from "../../shared/publish/publisher.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { type Log, logRepeated } from "../../shared/runtime/log.ts";
import type { ChangeMetrics } from "./change-metrics.ts";
import { restMs } from "./rest.ts";

export type SweeperOptions = {
  dueStore: Pick<DueStore, "claim" | "done">;
  publisher: Pick<Publisher, "publish">;
  /** Nothing is claimed before. */
  ready: Promise<void>;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Between two looks, where nothing more was due. */
  intervalMs: number;
  /** Ticks under way at once; as many are claimed at most. */
  limit: number;
  /** How long nobody else gets what was claimed here, in milliseconds. */
  holdMs: number;
  /** How long to rest after so many failures of the store in a row, in milliseconds. */
  restMs(failures: number): number;
  /** Entries were claimed; the oldest was due so long ago. */
  onClaimed(latenessMs: number): void;
  onPublished(): void;
  /** A tick could not be published, or the store failed; both come again. */
  onError(error: unknown): void;
};

export type Sweeper = {
  /** Claims nothing more and waits for the ticks under way, so for the publisher's deadline at most. */
  close(): Promise<void>;
};

export function startSweeper(options: SweeperOptions): Sweeper {
  const { dueStore, publisher, now, limit, holdMs, onError } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const underWay = new Map<string, Promise<void>>();
  let someOver = Promise.withResolvers<void>();
  /** Entries whose ticks are durable, and the call that is to remove them, after the one before. */
  let published: DueEntry[] = [];
  let nextRemoval: Promise<void> | undefined;
  let lastRemoval = Promise.resolve();

  async function run(): Promise<void> {
    let failures = 0;
    await options.ready;
    while (!signal.aborted) {
      // Not for each that is over: a claim costs a round trip.
      if (underWay.size > limit / 2) {
        await someOver.promise;
        continue;
      }
      const room = limit - underWay.size;
      const claimed = await claim(room);
      failures = claimed ? 0 : failures + 1;
      if (claimed) for (const entry of claimed) begin(entry);
      if (!claimed) await rest(options.restMs(failures));
      else if (claimed.length < room) await rest(options.intervalMs);
    }
  }

  async function claim(room: number): Promise<DueEntry[] | undefined> {
    try {
      const nowMs = now();
      const claimed = await dueStore.claim(nowMs, room, holdMs);
      const oldestMs = claimed.reduce(
        (oldest, { dueMs }) => Math.min(oldest, dueMs),
        Number.POSITIVE_INFINITY,
      );
      if (claimed.length > 0) options.onClaimed(nowMs - oldestMs);
      return claimed;
    } catch (error) {
      onError(error);
      return undefined;
    }
  }

  /** One that takes longer than `holdMs` is claimed again meanwhile, maybe here. */
  function begin(entry: DueEntry): void {
    const name = `${userKey(entry.tenant, entry.userId)} ${entry.dueMs}`;
    if (underWay.has(name)) return;
    const ticking = tick(entry).finally(() => {
      underWay.delete(name);
      someOver.resolve();
      someOver = Promise.withResolvers();
    });
    underWay.set(name, ticking);
  }

  async function tick(entry: DueEntry): Promise<void> {
    const { tenant, userId, dueMs: due } = entry;
    try {
      await publisher.publish({ tenant, userId, ops: [{ kind: "tick", body: { due } }], at: due });
      options.onPublished();
    } catch (error) {
      onError(error);
      // What can't be an update would come for ever.
      if (!(error instanceof KeylineError && error.code === "invalid_update")) return;
    }
    await remove(entry);
  }

  /** With all that are published by the time when the call before is answered. */
  function remove(entry: DueEntry): Promise<void> {
    published.push(entry);
    nextRemoval ??= lastRemoval = lastRemoval.then(removePublished);
    return nextRemoval;
  }

  async function removePublished(): Promise<void> {
    const entries = published;
    published = [];
    nextRemoval = undefined;
    await dueStore.done(entries).catch(onError);
  }

  async function rest(restMs: number): Promise<void> {
    await sleep(restMs, undefined, { signal }).catch(() => {});
  }

  const running = run();
  return {
    async close() {
      stopping.abort();
      await running;
      await Promise.all(underWay.values());
    },
  };
}

const MAX_UNDER_WAY = 256;
/** A process that dies with ticks under way makes them so much later. */
const HOLD_MS = 2_000;

/** The sweeper of a consumer. The publisher is the caller's, to be closed after the sweeper. */
export function openSweeper(
  options: Pick<SweeperOptions, "dueStore" | "publisher" | "ready" | "now"> & {
    settings: { sweepIntervalMs: number };
    metrics: ChangeMetrics;
    log: Log;
  },
): Sweeper {
  const { settings, metrics, log, ...rest } = options;
  return startSweeper({
    ...rest,
    intervalMs: settings.sweepIntervalMs,
    limit: MAX_UNDER_WAY,
    holdMs: HOLD_MS,
    restMs,
    onClaimed: metrics.ticksClaimed,
    onPublished: metrics.tickPublished,
    onError: logRepeated(log, "warn", "a tick comes later"),
  });
}
