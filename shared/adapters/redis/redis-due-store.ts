/** Due moments in Redis: a sorted set a shard, sharded by the user. */
import { userKey } from "../../domain/envelope.ts";
import type { DueEntry, DueStore } from "../../ports/due-store.ts";
import { claimScript } from "./due-script.ts";
import { assertKeyPrefix } from "./profile-key.ts";
import { type Call, type RedisStoreOptions, runAllCalls, runCalls, storeUnavailable } from "./redis-calls.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { shardCount, shardOf, shards, slices } from "./shards.ts";

/** What one command takes at most: Redis does nothing else while it runs. */
const maxEntriesPerCall = 500;

/**
 * `claim` gives what the shards that answer have, as those of one server that is away must not hold up the others; it
 * rejects when that is nothing and a shard did not answer. It begins with another shard each time, so that none is
 * always beyond the limit. `close` leaves the connection open; it is its opener's to close.
 * @throws KeylineError `bad_key_prefix`
 */
export function createRedisDueStore(connection: RedisConnection, options: RedisStoreOptions): DueStore {
  const { keyPrefix, commandTimeoutMs } = options;
  assertKeyPrefix(keyPrefix);
  const keys = shards.map((shard) => `${keyPrefix}{due-${shard}}`);
  let firstShard = 0;

  function callsByShard(
    entries: readonly DueEntry[],
    toCall: (key: string, entries: readonly DueEntry[]) => Call,
  ): Call[] {
    const byShard = Map.groupBy(entries, (entry) => shardOf(userKey(entry.tenant, entry.userId)));
    return [...byShard].flatMap(([shard, its]) =>
      slices(its, maxEntriesPerCall).map((slice) => toCall(keys[shard]!, slice)),
    );
  }

  /** Asks each shard for its share of the limit, and those that had more than that for what others left of it. */
  async function claim(nowMs: number, limit: number, holdMs: number): Promise<DueEntry[]> {
    const taken: DueEntry[] = [];
    let failure: Error | undefined;
    let open = [...keys.slice(firstShard), ...keys.slice(0, firstShard)];
    firstShard = (firstShard + 1) % shardCount;
    while (taken.length < limit && open.length > 0) {
      const shares = sharesOf(limit - taken.length, open);
      const calls = shares.map(([key, share]): Call => {
        return { key, script: claimScript, keyCount: 1, args: [key, nowMs, share, nowMs + holdMs] };
      });
      const replies = await runCalls(connection, calls, commandTimeoutMs);
      open = open.slice(shares.length);
      for (const [index, [key, share]] of shares.entries()) {
        const reply = replies[index] as string[] | Error;
        if (reply instanceof Error) {
          failure = reply;
          continue;
        }
        for (const member of reply) taken.push(entryOf(member));
        if (reply.length === share) open.push(key);
      }
    }
    if (taken.length === 0 && failure !== undefined) throw storeUnavailable(connection, failure);
    return taken.sort((a, b) => a.dueMs - b.dueMs);
  }

  return {
    async add(entries) {
      const calls = callsByShard(entries, (key, slice) => {
        const args = slice.flatMap((entry) => [entry.dueMs, memberOf(entry)]);
        return { key, command: "zadd", args: [key, "NX", ...args] };
      });
      await runAllCalls(connection, calls, commandTimeoutMs);
    },
    claim,
    async done(entries) {
      const calls = callsByShard(entries, (key, slice) => {
        return { key, command: "zrem", args: [key, ...slice.map(memberOf)] };
      });
      await runAllCalls(connection, calls, commandTimeoutMs);
    },
    async waiting() {
      const counts = keys.map((key): Call => ({ key, command: "zcard", args: [key] }));
      const firsts = keys.map((key): Call => {
        return { key, command: "zrange", args: [key, 0, 0, "WITHSCORES"] };
      });
      const replies = await runAllCalls(connection, [...counts, ...firsts], commandTimeoutMs);
      const entries = replies.slice(0, shardCount).reduce((sum: number, count) => sum + Number(count), 0);
      const moments = replies.slice(shardCount).flatMap((reply) => {
        const [, score] = reply as string[];
        return score === undefined ? [] : [Number(score)];
      });
      return { entries, earliestMs: moments.length === 0 ? undefined : Math.min(...moments) };
    },
    async close() {},
  };
}

/** How many each is asked for: `limit` in equal parts, what remains one by one to the first. */
function sharesOf(limit: number, keys: readonly string[]): [key: string, share: number][] {
  const remainder = limit % keys.length;
  return keys
    .map((key, index): [string, number] => [key, Math.floor(limit / keys.length) + Number(index < remainder)])
    .filter(([, share]) => share > 0);
}

/** "1767225600000 shop:42". A tenant holds no colon, a number no space, so that it can be read back. */
function memberOf({ tenant, userId, dueMs }: DueEntry): string {
  return `${dueMs} ${userKey(tenant, userId)}`;
}

function entryOf(member: string): DueEntry {
  const space = member.indexOf(" ");
  const colon = member.indexOf(":", space);
  return {
    tenant: member.slice(space + 1, colon),
    userId: member.slice(colon + 1),
    dueMs: Number(member.slice(0, space)),
  };
}
