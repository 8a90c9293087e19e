/**
 * What is too much for one key lies in shards, each in a slot of its own, so that Cluster spreads them over its
 * servers. A single server has the same shards: moving to Cluster moves keys, not entries between them.
 */
import { crc32 } from "node:zlib";

/** Part of how data is stored: with another number, what was stored before is looked for elsewhere. */
export const shardCount = 16;

export const shards: readonly number[] = Array.from({ length: shardCount }, (_, shard) => shard);

export function shardOf(text: string): number {
  return crc32(text) % shardCount;
}

/** The parts of `items`, each at most `size` long. */
export function slices<T>(items: readonly T[], size: number): T[][] {
  const parts: T[][] = [];
  for (let start = 0; start < items.length; start += size) parts.push(items.slice(start, start + size));
  return parts;
}
