import { crc32 } from "node:zlib";

/**
 * Picked so that Pulsar's hash of the names (Murmur3) spreads 64 groups evenly over few partitions: the fullest of 4 has
 * 17, of 8 has 10. `group-0` to `group-63` would put 25 of them on one of 4.
 */
const PREFIX = "group-zhg";

/**
 * The key under which a user's messages travel on a Key_Shared subscription: one of `keyGroups`, by a hash of the user's
 * own key, so that messages of several users can be one pack, and whoever gets a user's messages gets all of them (the
 * key groups of Flink, whose state is shared out by them).
 */
export function keyGroupOf(key: string, keyGroups: number): string {
  return `${PREFIX}${crc32(key) % keyGroups}`;
}

/** Whether a message came under the key of a group, which is no user's. */
export function isKeyGroup(key: string): boolean {
  return key.startsWith(PREFIX) && /^\d+$/.test(key.slice(PREFIX.length));
}
