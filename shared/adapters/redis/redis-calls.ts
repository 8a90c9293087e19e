/**
 * Runs many commands at once, in one pipeline a server. On Cluster they are grouped by the server of their key
 * here, because ioredis refuses a pipeline that spans servers and its auto-pipelining loses redirects.
 */
import { createHash } from "node:crypto";
import { type Cluster, Command, type Redis } from "ioredis";
import { KeylineError, toError } from "../../runtime/errors.ts";
import type { RedisConnection } from "./redis-connection.ts";

export type Script = { text: string; sha: string };

export type Call = {
  /** All keys of the call live where this one does. */
  key: string;
  args: (string | number)[];
} & ({ script: Script; keyCount: number } | { command: PlainCommand });

type PlainCommand = "get" | "hget" | "hmget" | "set" | "unlink" | "zadd" | "zcard" | "zrange" | "zrem";

/** What a store on Redis is told. */
export type RedisStoreOptions = {
  /** Comes before each key; no braces. */
  keyPrefix: string;
  /** An operation without an answer for this long has failed; it may have been carried out. */
  commandTimeoutMs: number;
};

export function script(text: string): Script {
  return { text, sha: createHash("sha1").update(text).digest("hex") };
}

/**
 * @returns the replies in the order of `calls`; an Error for a call that failed, or has no answer within
 *   `timeoutMs` and may have been carried out all the same. Never rejects.
 */
export async function runCalls(
  connection: RedisConnection,
  calls: readonly Call[],
  timeoutMs: number,
): Promise<unknown[]> {
  const replies = new Array<unknown>(calls.length).fill(
    new Error(`no answer from Redis within ${timeoutMs} ms`),
  );
  const { client } = connection;
  const all = calls.map((_, index) => index);
  const work =
    client.kind === "single"
      ? runOn(client.redis, calls, all, replies)
      : runOnCluster(client.cluster, calls, replies);
  await withDeadline(work, timeoutMs);
  return replies;
}

/** Like `runCalls` for one call. Rejects with `store_unavailable`. */
export async function runCall(connection: RedisConnection, call: Call, timeoutMs: number): Promise<unknown> {
  const [reply] = await runAllCalls(connection, [call], timeoutMs);
  return reply;
}

/** Like `runCalls` where all must succeed. Rejects with `store_unavailable`; the others may have been carried out. */
export async function runAllCalls(
  connection: RedisConnection,
  calls: readonly Call[],
  timeoutMs: number,
): Promise<unknown[]> {
  const replies = await runCalls(connection, calls, timeoutMs);
  for (const reply of replies) if (reply instanceof Error) throw storeUnavailable(connection, reply);
  return replies;
}

export function storeUnavailable(connection: RedisConnection, cause: Error): KeylineError {
  const notConnected = /isn't (writeable|ready)|not connected/.test(cause.message);
  const why = (notConnected ? connection.lastError()?.message : undefined) || cause.message;
  return new KeylineError("store_unavailable", `${connection.description}: ${why}`, {
    retryable: true,
    cause,
  });
}

/** A key for each primary of the cluster; one key that stands for the server when it is not a cluster. */
export function keysOfAllPrimaries(connection: RedisConnection, prefix: string): string[] {
  const { client } = connection;
  if (client.kind === "single") return [prefix];
  const { cluster } = client;
  const missing = new Set(cluster.slots.map((nodes) => nodes[0]));
  const keys: string[] = [];
  for (let suffix = 0; missing.size > 0 && suffix < 16_384; suffix++) {
    if (missing.delete(cluster.slots[slotOf(`${prefix}:${suffix}`)]?.[0] ?? ""))
      keys.push(`${prefix}:${suffix}`);
  }
  return keys.length > 0 ? keys : [prefix];
}

async function withDeadline(work: Promise<void>, timeoutMs: number): Promise<void> {
  const deadline = Promise.withResolvers<void>();
  const timer = setTimeout(deadline.resolve, timeoutMs);
  await Promise.race([work, deadline.promise]);
  clearTimeout(timer);
}

async function runOnCluster(cluster: Cluster, calls: readonly Call[], replies: unknown[]): Promise<void> {
  const primaries = new Map(
    cluster.nodes("master").map((node) => [`${node.options.host}:${node.options.port}`, node]),
  );
  const groups = new Map<Redis, number[]>();
  calls.forEach((call, index) => {
    const address = cluster.slots[slotOf(call.key)]?.[0];
    const node = address === undefined ? undefined : primaries.get(address);
    if (node === undefined || (node.status !== "ready" && node.status !== "wait")) {
      replies[index] = new Error(`not connected to the Redis node ${address ?? "of the key"}`);
      return;
    }
    const group = groups.get(node);
    if (group === undefined) groups.set(node, [index]);
    else group.push(index);
  });
  await Promise.all(
    [...groups].map(async ([node, indexes]) => {
      await runOn(node, calls, indexes, replies);
      const moved = indexes.filter((index) => isRedirect(replies[index]));
      await Promise.all(moved.map((index) => runSingle(cluster, calls, index, replies)));
    }),
  );
}

/** One pipeline; calls of a script that the server doesn't know (restarted, flushed) once more, after loading it. */
async function runOn(
  redis: Redis,
  calls: readonly Call[],
  indexes: readonly number[],
  replies: unknown[],
  load: readonly Script[] = [],
): Promise<void> {
  const pipeline = redis.pipeline();
  for (const { text } of load) pipeline.script("LOAD", text);
  for (const index of indexes) {
    const call = calls[index] as Call;
    if ("script" in call) pipeline.evalsha(call.script.sha, call.keyCount, ...call.args);
    else pipeline.call(call.command, ...call.args);
  }
  const results = (await pipeline.exec()) ?? [];
  indexes.forEach((index, position) => {
    const [error, reply] = results[position + load.length] ?? [new Error("no reply")];
    replies[index] = error ?? reply;
  });
  if (load.length > 0) return;
  const unknown = indexes.filter((index) => isError(replies[index], "NOSCRIPT"));
  if (unknown.length === 0) return;
  const scripts = unknown.flatMap((index) => {
    const call = calls[index] as Call;
    return "script" in call ? [call.script] : [];
  });
  await runOn(redis, calls, unknown, replies, [...new Set(scripts)]);
}

/** Follows the redirect of one call; the client learns from it where the slot is. */
async function runSingle(
  cluster: Cluster,
  calls: readonly Call[],
  index: number,
  replies: unknown[],
): Promise<void> {
  const call = calls[index] as Call;
  try {
    replies[index] =
      "script" in call
        ? await cluster.eval(call.script.text, call.keyCount, ...call.args)
        : await cluster.call(call.command, ...call.args);
  } catch (thrown) {
    replies[index] = toError(thrown);
  }
}

function isRedirect(reply: unknown): boolean {
  return isError(reply, "MOVED ") || isError(reply, "ASK ");
}

function isError(reply: unknown, prefix: string): boolean {
  return reply instanceof Error && reply.message.startsWith(prefix);
}

function slotOf(key: string): number {
  return new Command("get", [key]).getSlot();
}
