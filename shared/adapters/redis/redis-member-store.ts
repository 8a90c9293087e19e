/** The members of audiences in Redis: a hash and a sorted set for each shard of each audience version. */
import type { AudienceVersion, MemberEntry, MemberPage, MemberStore } from "../../ports/member-store.ts";
import { compareUtf8 } from "../utf8-order.ts";
import { recordScript } from "./member-script.ts";
import { assertKeyPrefix, memberTag } from "./profile-key.ts";
import { type Call, type RedisStoreOptions, runAllCalls } from "./redis-calls.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { shardCount, shardOf, shards, slices } from "./shards.ts";

/** What one script call takes at most: Redis does nothing else while it runs. */
const maxUsersPerCall = 500;

/**
 * `close` leaves the connection open; it is its opener's to close.
 * @throws KeylineError `bad_key_prefix`
 */
export function createRedisMemberStore(connection: RedisConnection, options: RedisStoreOptions): MemberStore {
  const { keyPrefix, commandTimeoutMs } = options;
  assertKeyPrefix(keyPrefix);
  const membersKey = (of: AudienceVersion, shard: number) => `${keyPrefix}${memberTag(of, shard)}:members`;
  const numbersKey = (of: AudienceVersion, shard: number) => `${keyPrefix}${memberTag(of, shard)}:numbers`;

  function ofAllShards(toCall: (shard: number) => Call): Promise<unknown[]> {
    return runAllCalls(connection, shards.map(toCall), commandTimeoutMs);
  }

  // Also on a single server: several shards in one call cost it no less.
  function recordCalls(entries: readonly MemberEntry[]): Call[] {
    const byShard = Map.groupBy(entries, (entry) => numbersKey(entry, shardOf(entry.userId)));
    return [...byShard].flatMap(([key, its]) => {
      const members = membersKey(its[0]!, shardOf(its[0]!.userId));
      return slices([...greatestNumbers(its)], maxUsersPerCall).map((slice): Call => {
        const users = slice.map(([userId]) => userId);
        const numbers = slice.map(([, number]) => number);
        return {
          key,
          script: recordScript,
          keyCount: 2,
          args: [key, members, slice.length, ...users, ...numbers],
        };
      });
    });
  }

  /**
   * A hash spreads the users, so that each shard has about an equal part of any page. Each is asked for that and four
   * standard deviations more, and all once more for a whole page where one turns out to have had even more.
   */
  async function page(of: AudienceVersion, after: string | undefined, limit: number): Promise<MemberPage> {
    const fair = limit / shardCount;
    const likely = Math.ceil(fair + 4 * Math.sqrt(fair)) + 1;
    // One more than the page has tells whether there is a next one.
    let { userIds, complete } = await firstMembers(of, after, Math.min(likely, limit + 1));
    if (!complete && userIds.length <= limit) {
      ({ userIds, complete } = await firstMembers(of, after, limit + 1));
    }
    const more = userIds.length > limit;
    userIds = userIds.slice(0, limit);
    return { userIds, next: more ? userIds.at(-1) : undefined };
  }

  /** The first members after a user id, all where `complete`, without a gap where not; at least `perShard` then. */
  async function firstMembers(of: AudienceVersion, after: string | undefined, perShard: number) {
    const from = after === undefined ? "-" : `(${after}`;
    const replies = await ofAllShards((shard) => {
      const key = membersKey(of, shard);
      return { key, command: "zrange", args: [key, from, "+", "BYLEX", "LIMIT", 0, perShard] };
    });
    const found = replies as string[][];
    const userIds = found.flat().sort(compareUtf8);
    // Beyond the last one of a shard that may have more, others may be missing.
    const [last] = found.flatMap((its) => (its.length < perShard ? [] : its.slice(-1))).sort(compareUtf8);
    if (last === undefined) return { userIds, complete: true };
    return { userIds: userIds.slice(0, userIds.indexOf(last) + 1), complete: false };
  }

  return {
    async record(entries) {
      await runAllCalls(connection, recordCalls(entries), commandTimeoutMs);
    },
    async count(of) {
      const counts = await ofAllShards((shard) => {
        const key = membersKey(of, shard);
        return { key, command: "zcard", args: [key] };
      });
      return counts.reduce((sum: number, count) => sum + Number(count), 0);
    },
    page,
    async drop(of) {
      await ofAllShards((shard) => {
        const key = membersKey(of, shard);
        return { key, command: "unlink", args: [key, numbersKey(of, shard)] };
      });
    },
    async close() {},
  };
}

function greatestNumbers(entries: readonly MemberEntry[]): Map<string, number> {
  const numbers = new Map<string, number>();
  for (const { userId, number } of entries) {
    if (number > (numbers.get(userId) ?? 0)) numbers.set(userId, number);
  }
  return numbers;
}
