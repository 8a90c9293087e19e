import type { KeylineError } from "../runtime/errors.ts";
import { unanswered } from "./queue-errors.ts";

/** The only source of time of what takes one; `globalThis` has this shape but for `now`. */
export type Scheduler = {
  setTimeout(run: () => void, delayMs: number): unknown;
  clearTimeout(timer: unknown): void;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Milliseconds by a clock that never steps. */
  monotonicMs(): number;
};

/** The real clock. */
export const systemScheduler: Scheduler = {
  setTimeout: (run, delayMs) => setTimeout(run, delayMs),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
};

/** The sends of one producer that have no answer yet. */
export type PendingSends = {
  /** The number for the next send; hand it to `wait`. */
  nextId(): number;
  /** True at the bound: the caller must refuse the next send. */
  full(): boolean;
  /** Rejects with `queue_send_timeout` when no answer comes in time. */
  wait(id: number): Promise<void>;
  resolve(id: number): void;
  reject(id: number, error: KeylineError): void;
  rejectAll(error: KeylineError): void;
  /** Resolves when nothing is pending. */
  settled(): Promise<void>;
};

type PendingSend = { resolve(): void; reject(error: KeylineError): void; deadlineMs: number };

/**
 * All sends wait equally long, so the Map's insertion order is the order of the deadlines: one timer for the
 * oldest is enough, whatever the rate.
 */
export function createPendingSends(
  options: { topic: string; sendTimeoutMs: number; maxPending: number },
  scheduler: Scheduler = systemScheduler,
): PendingSends {
  const { topic, sendTimeoutMs, maxPending } = options;
  const sends = new Map<number, PendingSend>();
  let lastId = 0;
  let timer: unknown;
  let whenSettled: (() => void)[] = [];

  function take(id: number): PendingSend | undefined {
    const send = sends.get(id);
    if (send === undefined) return undefined;
    sends.delete(id);
    if (sends.size === 0) settle();
    return send;
  }

  function settle(): void {
    if (timer !== undefined) scheduler.clearTimeout(timer);
    timer = undefined;
    for (const resolve of whenSettled) resolve();
    whenSettled = [];
  }

  function arm(deadlineMs: number): void {
    timer = scheduler.setTimeout(expire, Math.max(0, deadlineMs - scheduler.monotonicMs()));
  }

  function expire(): void {
    timer = undefined;
    const now = scheduler.monotonicMs();
    for (const [id, send] of sends) {
      if (send.deadlineMs > now) {
        arm(send.deadlineMs);
        return;
      }
      take(id)?.reject(unanswered(topic, `none within ${sendTimeoutMs} ms`));
    }
  }

  return {
    nextId: () => ++lastId,
    wait(id) {
      const deadlineMs = scheduler.monotonicMs() + sendTimeoutMs;
      const answered = new Promise<void>((resolve, reject) => sends.set(id, { resolve, reject, deadlineMs }));
      if (timer === undefined) arm(deadlineMs);
      return answered;
    },
    full: () => sends.size >= maxPending,
    resolve: (id) => take(id)?.resolve(),
    reject: (id, error) => take(id)?.reject(error),
    rejectAll(error) {
      for (const id of [...sends.keys()]) take(id)?.reject(error);
    },
    settled: () =>
      sends.size === 0 ? Promise.resolve() : new Promise((resolve) => whenSettled.push(resolve)),
  };
}
