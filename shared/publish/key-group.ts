import { crc32 } from "node:zlib";

/**
 * The key under which a user's messages travel on a Key_Shared subscription: one of `keyGroups`, by a hash of the user's
 * own key, so that messages of several users can be one pack, and whoever gets a user's messages gets all of them (the
 * key groups of Flink, whose state is shared out by them).
 */
export function keyGroupOf(key: string, keyGroups: number): string {
  return `group-${crc32(key) % keyGroups}`;
}
