/** Profiles in Redis: one hash a user, saved by compare-and-set. */
import type { ProfileRecord, ProfileStore, ProfileWrite, WriteResult } from "../../ports/profile-store.ts";
import { assertKeyPrefix, profileKey } from "./profile-key.ts";
import { appendSaveArguments, machineryField, saveScript, versionField } from "./profile-script.ts";
import {
  type Call,
  keysOfAllPrimaries,
  runAllCalls,
  runCall,
  runCalls,
  storeUnavailable,
} from "./redis-calls.ts";
import type { RedisConnection } from "./redis-connection.ts";

export type RedisProfileStoreOptions = {
  /** Comes before each key; no braces. */
  keyPrefix: string;
  /** A save, load or ping without an answer for this long has failed. */
  commandTimeoutMs: number;
};

/** What one script call takes at most: Redis does nothing else while it runs. */
const maxUsersPerCall = 32;
const maxArgumentsPerCall = 2_000;

/**
 * `close` waits for what is under way; the connection stays open and is its opener's to close.
 * @throws KeylineError `bad_key_prefix`
 */
export function createRedisProfileStore(
  connection: RedisConnection,
  options: RedisProfileStoreOptions,
): ProfileStore {
  const { keyPrefix, commandTimeoutMs } = options;
  assertKeyPrefix(keyPrefix);
  // On Cluster the keys of one script call share a slot, so each user is a call.
  const usersPerCall = connection.client.kind === "cluster" ? 1 : maxUsersPerCall;
  const underWay = new Set<Promise<unknown>>();

  function tracked<T>(work: Promise<T>): Promise<T> {
    underWay.add(work);
    const done = () => underWay.delete(work);
    work.then(done, done);
    return work;
  }

  async function save(writes: readonly ProfileWrite[]): Promise<WriteResult[]> {
    const calls = saveCalls(keyPrefix, writes, usersPerCall);
    const replies = await runCalls(connection, calls, commandTimeoutMs);
    return calls.flatMap((call, index) => writeResults(connection, call.keyCount, replies[index]));
  }

  async function load(user: { tenant: string; userId: string }): Promise<ProfileRecord | undefined> {
    const key = profileKey(keyPrefix, user);
    const call: Call = { key, command: "hmget", args: [key, versionField, machineryField] };
    return toRecord(await runCall(connection, call, commandTimeoutMs));
  }

  async function ping(): Promise<void> {
    const keys = keysOfAllPrimaries(connection, `${keyPrefix}ping`);
    const calls = keys.map((key): Call => ({ key, command: "set", args: [key, "1", "PX", 1_000] }));
    await runAllCalls(connection, calls, commandTimeoutMs);
  }

  return {
    description: connection.description,
    save: (writes) => tracked(save(writes)),
    load: (user) => tracked(load(user)),
    ping: () => tracked(ping()),
    async close() {
      await Promise.allSettled(underWay);
    },
  };
}

type SaveCall = Extract<Call, { keyCount: number }>;

function saveCalls(keyPrefix: string, writes: readonly ProfileWrite[], usersPerCall: number): SaveCall[] {
  const calls: SaveCall[] = [];
  let keys: string[] = [];
  let args: (string | number)[] = [];
  function finish(): void {
    const [key] = keys;
    if (key !== undefined)
      calls.push({ key, script: saveScript, keyCount: keys.length, args: [...keys, ...args] });
    keys = [];
    args = [];
  }
  for (const write of writes) {
    keys.push(profileKey(keyPrefix, write.user));
    appendSaveArguments(args, write);
    if (keys.length === usersPerCall || args.length >= maxArgumentsPerCall) finish();
  }
  finish();
  return calls;
}

function writeResults(connection: RedisConnection, count: number, reply: unknown): WriteResult[] {
  if (!Array.isArray(reply)) {
    const cause = reply instanceof Error ? reply : new Error(`unexpected reply ${JSON.stringify(reply)}`);
    const error = storeUnavailable(connection, cause);
    return new Array<WriteResult>(count).fill({ outcome: "failed", error, unanswered: true });
  }
  return reply.map((entry: unknown): WriteResult => {
    if (entry === 1) return { outcome: "saved" };
    if (Array.isArray(entry)) return { outcome: "conflict", current: toRecord(entry) };
    return { outcome: "failed", error: storeUnavailable(connection, new Error(String(entry))) };
  });
}

function toRecord(reply: unknown): ProfileRecord | undefined {
  const [version, machinery] = reply as [string | null, string | null];
  return version === null ? undefined : { version, machinery: machinery ?? "" };
}
