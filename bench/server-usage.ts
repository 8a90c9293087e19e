import { Redis } from "ioredis";
import { topicsOf } from "../shared/runtime/topics.ts";
import type { RealStack } from "../test/support/real-stack.ts";
import { cpuSeconds } from "./process-usage.ts";

/** What the servers of a stack have used so far. */
export type ServerUsage = {
  /** Broker and bookie, which are one process here. */
  brokerSeconds: number;
  redisSeconds: number;
  /** What Redis was sent. */
  redisBytes: number;
};

export async function serverUsage(stack: RealStack): Promise<ServerUsage> {
  const redis = new Redis(stack.urls.redis);
  try {
    const bytes = /^total_net_input_bytes:(\d+)/m.exec(await redis.info("stats"))?.[1];
    return {
      brokerSeconds: cpuSeconds(stack.pulsar().pid),
      redisSeconds: cpuSeconds(stack.redis().pid),
      redisBytes: Number(bytes),
    };
  } finally {
    redis.disconnect();
  }
}

/** Bytes that the updates topic has in one copy, with what Pulsar adds to each message. */
export async function storedBytes(stack: RealStack): Promise<number> {
  const path = topicsOf("public/keyline").updates.replace("://", "/");
  const answer = await fetch(`${stack.urls.admin}/admin/v2/${path}/partitioned-stats`);
  if (!answer.ok) throw new Error(`no statistics of the topic: ${answer.status}`);
  return ((await answer.json()) as { storageSize: number }).storageSize;
}
