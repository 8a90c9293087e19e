/**
 * Time and chance under control: from `installVirtualTime` on, every timer, clock and random number of this
 * process comes from one queue of events and one seed, so that a run of the real code can be repeated event by
 * event (Zhou et al., "FoundationDB", 2021; TigerBeetle's VOPR). Between two events all promises are settled.
 */
import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import timersPromises from "node:timers/promises";
import TinyQueue from "tinyqueue";
import { seededRandom } from "../support/seeded-updates.ts";

/**
 * Whose code runs: timers that are set meanwhile are its own, end with it, and see its clock. All that follows from
 * one event, up to the next one, belongs to the event's owner.
 */
export type Owner = { alive: boolean; skewMs: number };

export type VirtualTime = {
  /** Forgets all timers and starts again at `START_MS`. */
  restart(seed: number): void;
  /** Milliseconds since the epoch. */
  now(): number;
  random(): number;
  /** An event of the world, or of the owner that is named. */
  after(delayMs: number, run: () => void, owner?: Owner): void;
  /** Runs event after event until `untilMs`. */
  run(untilMs: number): Promise<void>;
  events(): number;
};

/** 2026-01-01 */
export const START_MS = 1_767_225_600_000;

type Timer = {
  atMs: number;
  order: number;
  owner: Owner | undefined;
  everyMs: number | undefined;
  run: (() => void) | undefined;
  ref(): Timer;
  unref(): Timer;
};

const afterThisTurn = setImmediate;
/**
 * Node's own end of a turn: runs everything that `process.nextTick` and settled promises have waiting. A turn of the
 * event loop for each event would cost as much as the event.
 */
const { _tickCallback: settlePromises } = process as unknown as { _tickCallback(): void };
/** Events in one turn of the real event loop. */
const EVENTS_A_TURN = 1_000;

export function installVirtualTime(): VirtualTime {
  let now = START_MS;
  let current: Owner | undefined;
  let order = 0;
  let events = 0;
  let random = seededRandom(0);
  let queue = newQueue();
  const sleepersBySignal = new WeakMap<AbortSignal, Set<() => void>>();

  function schedule(delayMs: number, run: () => void, everyMs?: number): Timer {
    const timer: Timer = {
      owner: current,
      atMs: now + delayMs,
      order: ++order,
      everyMs,
      run,
      ref: () => timer,
      unref: () => timer,
    };
    queue.push(timer);
    return timer;
  }

  const whole = (delayMs: unknown) => Math.max(1, Math.floor(Number(delayMs) || 0));
  const cancel = (timer: Timer | undefined) => {
    if (timer) timer.run = undefined;
  };

  /** Runs the next event and all that follows from it; false when there is none until then. */
  function step(untilMs: number): boolean {
    const timer = queue.peek();
    if (timer === undefined || timer.atMs > untilMs) return false;
    queue.pop();
    if (timer.run === undefined || timer.owner?.alive === false) return true;
    now = timer.atMs;
    current = timer.owner;
    events += 1;
    timer.run();
    if (timer.everyMs !== undefined && timer.run !== undefined) {
      timer.atMs = now + timer.everyMs;
      timer.order = ++order;
      queue.push(timer);
    }
    settlePromises();
    current = undefined;
    return true;
  }

  function sleep<T>(delayMs?: number, value?: T, options?: { signal?: AbortSignal }): Promise<T> {
    return new Promise((resolve, reject) => {
      const { signal } = options ?? {};
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const sleepers = signal && sleepersOf(signal);
      const abort = () => {
        cancel(timer);
        reject(signal!.reason as Error);
      };
      const timer = schedule(whole(delayMs), () => {
        sleepers?.delete(abort);
        resolve(value as T);
      });
      sleepers?.add(abort);
    });
  }

  /** Those that the signal wakes. A listener for each sleep would cost more than all else of it. */
  function sleepersOf(signal: AbortSignal): Set<() => void> {
    const known = sleepersBySignal.get(signal);
    if (known) return known;
    const sleepers = new Set<() => void>();
    sleepersBySignal.set(signal, sleepers);
    const wakeAll = () => {
      for (const wake of sleepers) wake();
    };
    signal.addEventListener("abort", wakeAll, { once: true });
    return sleepers;
  }

  function randomBytes(size: number): Buffer {
    return Buffer.from(Array.from({ length: size }, () => Math.floor(random() * 256)));
  }

  const randomHex = () => Math.floor(random() * 2 ** 32).toString(16);

  type Callback = (...args: unknown[]) => void;
  Object.assign(globalThis, {
    setTimeout: (run: Callback, delayMs?: number, ...args: unknown[]) =>
      schedule(whole(delayMs), () => run(...args)),
    setInterval: (run: Callback, delayMs?: number, ...args: unknown[]) =>
      schedule(whole(delayMs), () => run(...args), whole(delayMs)),
    setImmediate: (run: Callback, ...args: unknown[]) => schedule(0, () => run(...args)),
    clearTimeout: cancel,
    clearInterval: cancel,
    clearImmediate: cancel,
  });
  Date.now = () => Math.floor(now) + (current?.skewMs ?? 0);
  performance.now = () => now - START_MS;
  Math.random = () => random();
  Object.assign(timersPromises, { setTimeout: sleep, setImmediate: <T>(value?: T) => sleep(0, value) });
  AbortSignal.any = anyOf;
  Object.assign(crypto, {
    randomBytes,
    randomUUID: () => Array.from({ length: 4 }, randomHex).join("-"),
  });
  syncBuiltinESMExports();

  return {
    restart(seed) {
      now = START_MS;
      current = undefined;
      order = 0;
      events = 0;
      random = seededRandom(seed);
      queue = newQueue();
    },
    now: () => Math.floor(now),
    random: () => random(),
    after(delayMs, run, owner) {
      const before = current;
      current = owner;
      schedule(Math.max(0, delayMs), run);
      current = before;
    },
    run(untilMs) {
      return new Promise((resolve, reject) => {
        const turn = () => {
          try {
            for (let count = 0; count < EVENTS_A_TURN; count += 1) if (!step(untilMs)) return resolve();
            afterThisTurn(turn);
          } catch (error) {
            reject(error);
          }
        };
        afterThisTurn(turn);
      });
    },
    events: () => events,
  };
}

/**
 * In the place of Node's own, which keeps a signal that is listened to, with all it holds, for ever where none of
 * them aborts. While the listeners of one of them run, that of this one may not have run yet.
 */
function anyOf(signals: readonly AbortSignal[]): AbortSignal {
  const any = new AbortController();
  for (const signal of signals) {
    if (signal.aborted) any.abort(signal.reason);
    else signal.addEventListener("abort", () => any.abort(signal.reason), { once: true });
  }
  return any.signal;
}

function newQueue(): TinyQueue<Timer> {
  return new TinyQueue<Timer>([], (a, b) => a.atMs - b.atMs || a.order - b.order);
}
