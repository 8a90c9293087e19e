import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../../deploy/local/free-ports.ts";
import { type RedisInstallation, type RedisServer, startRedis, withRedis } from "../../deploy/local/redis.ts";
import { type RunningServer, startServer } from "../../deploy/local/server-process.ts";
import { until } from "./until.ts";

/** A primary with one replica, and a Sentinel that promotes the replica when the primary is silent for 1 s. */
export type SentinelRedis = {
  /** `redis+sentinel://…/main` */
  url: string;
  primary: RedisServer;
  /** The port of the server that Sentinel takes for the primary. */
  primaryPort(): Promise<number>;
  stop(): Promise<void>;
};

export async function startSentinelRedis(
  installation: RedisInstallation,
  directory: string,
): Promise<SentinelRedis> {
  const startOne = (name: string) => startRedis(installation, { directory: join(directory, name) });
  const [primary, replica] = await Promise.all([startOne("primary"), startOne("replica")]);
  const primaryAt = String(portOf(primary));
  await withRedis(portOf(replica), (redis) => redis.replicaof("127.0.0.1", primaryAt));
  await until("the replica follows", () =>
    withRedis(portOf(replica), async (redis) => (await redis.info("replication")).includes("link_status:up")),
  );
  const sentinel = await startSentinel(installation, join(directory, "sentinel"), primaryAt);
  const ask = <T>(...args: [string, ...string[]]) =>
    withRedis(portOf(sentinel), (redis) => redis.call("SENTINEL", ...args) as Promise<T>);
  await until(
    "Sentinel knows the replica",
    async () => (await ask<unknown[]>("REPLICAS", "main")).length === 1,
  );
  return {
    url: `redis+sentinel://127.0.0.1:${portOf(sentinel)}/main`,
    primary,
    primaryPort: async () => Number((await ask<string[]>("GET-MASTER-ADDR-BY-NAME", "main"))[1]),
    async stop() {
      await sentinel.stop();
      await Promise.all([replica.stop(), primary.stop()]);
    },
  };
}

async function startSentinel(
  { program }: RedisInstallation,
  directory: string,
  primaryAt: string,
): Promise<RunningServer<"redis">> {
  const port = await freePort();
  const configuration = `${directory}.conf`;
  writeFileSync(
    configuration,
    `port ${port}
bind 127.0.0.1
sentinel monitor main 127.0.0.1 ${primaryAt} 1
sentinel down-after-milliseconds main 1000
sentinel failover-timeout main 5000
`,
  );
  return startServer({
    name: "sentinel",
    urls: { redis: `redis://127.0.0.1:${port}` },
    command: program,
    arguments: [configuration, "--sentinel"],
    directory,
    logFile: join(directory, "sentinel.log"),
    isReady: () => withRedis(port, async (redis) => (await redis.ping()) === "PONG"),
    readyTimeoutMs: 30_000,
    stopTimeoutMs: 10_000,
  });
}

function portOf(server: RunningServer<"redis">): number {
  return Number(new URL(server.urls.redis).port);
}
