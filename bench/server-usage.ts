import { Redis } from "ioredis";
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
