/** A client of the gateway's `/v1/updates`, for programs that have no Pulsar to publish to. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import pLimit from "p-limit";
import { KeylineError } from "../runtime/errors.ts";
import {
  type Answered,
  type GatewayReceipt,
  postUpdates,
  restAfter,
  toKeylineError,
  updatesAddress,
} from "./post-updates.ts";
import type { UpdateInput } from "./update-input.ts";
import { type UserFunctions, userFunctions } from "./user-functions.ts";

// biome-ignore lint/performance/noBarrelFile: an entry of the library, with what its callers need
export { KeylineError } from "../runtime/errors.ts";
export type { GatewayReceipt } from "./post-updates.ts";

/** The tenant is the write key's. */
export type GatewayUpdate = Omit<UpdateInput, "tenant">;

export type GatewayClientOptions = {
  /** Of the gateway, such as `https://keyline.example.com`. */
  url: string;
  writeKey: string;
  /** Updates in one request at most; by default 100, at most 1,000. */
  maxBatch?: number;
  /** Requests under way at once; by default 4. */
  maxRequests?: number;
  /** Updates that are not settled; more are refused. By default 10,000. */
  maxUnderWay?: number;
  /** A call settles within about this time, tries again included; by default 30,000 ms. */
  deadlineMs?: number;
};

export type GatewayClient = {
  /**
   * Resolves once a path has the update durably. Those of one moment share a request. One without an id is given one, so
   * that it counts once however often it has to be sent. A user's updates stand in the order in which they come to a
   * gateway: where it matters, wait for one before the next. Rejects with a KeylineError: the gateway's own with path and
   * value where the update is wrong, `unauthorised`, `client_full` when too much is under way here, or, by the
   * deadline, what stood against it last; then it may have been taken all the same.
   */
  send(update: GatewayUpdate): Promise<GatewayReceipt>;
  user(userId: string): UserFunctions<GatewayReceipt>;
  /** Waits for what is under way. */
  close(): Promise<void>;
};

type Waiting = {
  update: GatewayUpdate & { id: string };
  deadlineAtMs: number;
  resolve(receipt: GatewayReceipt): void;
  reject(error: KeylineError): void;
};

export function createGatewayClient(options: GatewayClientOptions): GatewayClient {
  const {
    url,
    writeKey,
    maxBatch = 100,
    maxRequests = 4,
    maxUnderWay = 10_000,
    deadlineMs = 30_000,
  } = options;
  const address = updatesAddress(url);
  const room = pLimit(maxRequests);
  const calls = new Set<Promise<GatewayReceipt>>();
  let queue: Waiting[] = [];
  /** Requests that are to take from the queue. */
  let scheduled = 0;
  let closed = false;

  /** What comes while requests are under way waits for one of them to end, and goes together. */
  function flushSoon(): void {
    if (scheduled * maxBatch >= queue.length) return;
    scheduled += 1;
    // After this turn of the event loop, so that what is sent in it shares a request.
    setImmediate(() => void room(flush));
  }

  async function flush(): Promise<void> {
    scheduled -= 1;
    const batch = queue.slice(0, maxBatch);
    queue = queue.slice(maxBatch);
    await settle(batch);
  }

  async function settle(batch: Waiting[]): Promise<void> {
    let left = batch;
    for (let tries = 1; left.length > 0; tries += 1) {
      const answered = await post(left);
      if (answered.error?.code === "too_large" && !answered.results && left.length > 1) {
        const half = left.length >>> 1;
        await settle(left.slice(0, half));
        await settle(left.slice(half));
        return;
      }
      const restMs = Math.max(answered.retryAfterMs, restAfter(tries));
      left = conclude(left, answered, restMs);
      if (left.length > 0) await sleep(restMs);
    }
  }

  /** Settles what can be settled, and returns what is to be sent again after a rest. */
  function conclude(batch: readonly Waiting[], { results, error }: Answered, restMs: number): Waiting[] {
    return batch.filter((waiting, index) => {
      const result = results?.[index] ?? { error: error! };
      if (!("error" in result)) {
        waiting.resolve(result);
        return false;
      }
      const problem = toKeylineError(result.error);
      if (problem.retryable && performance.now() + restMs < waiting.deadlineAtMs) return true;
      waiting.reject(problem);
      return false;
    });
  }

  async function post(batch: readonly Waiting[]): Promise<Answered & { retryAfterMs: number }> {
    const patienceMs = Math.max(...batch.map(({ deadlineAtMs }) => deadlineAtMs)) - performance.now();
    return postUpdates(
      { address, writeKey, timeoutMs: patienceMs },
      batch.map(({ update }) => update),
    );
  }

  return {
    send(given) {
      if (closed) return Promise.reject(new KeylineError("client_closed", "the client is closed"));
      if (calls.size >= maxUnderWay) {
        const message = `${calls.size} updates are under way here, try again later`;
        return Promise.reject(new KeylineError("client_full", message, { retryable: true }));
      }
      const { promise, resolve, reject } = Promise.withResolvers<GatewayReceipt>();
      const update = { ...given, id: given.id ?? randomUUID() };
      queue.push({ update, resolve, reject, deadlineAtMs: performance.now() + deadlineMs });
      calls.add(promise);
      const settled = () => void calls.delete(promise);
      promise.then(settled, settled);
      flushSoon();
      return promise;
    },
    user(userId) {
      return userFunctions((update) => this.send({ ...update, userId }));
    },
    async close() {
      closed = true;
      await Promise.allSettled(calls);
    },
  };
}
