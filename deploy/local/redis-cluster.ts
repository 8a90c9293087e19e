import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { freePorts } from "./free-ports.ts";
import { type RedisInstallation, type RedisServer, startRedis, withRedis } from "./redis.ts";
import type { RunningServer } from "./server-process.ts";

const masters = 3;
const slots = 16_384;

/** Settings that a Redis server of a cluster has beside the others. */
export const clusterSettings = (busPort: number): Record<string, string> => ({
  "cluster-enabled": "yes",
  "cluster-config-file": "nodes.conf",
  "cluster-node-timeout": "5000",
  "cluster-port": String(busPort),
});

/** For clients and for the masters among themselves; three of each. */
export type ClusterPorts = { clients: readonly number[]; bus: readonly number[] };

export type RedisClusterOptions = {
  /** One directory below it for each master. */
  directory: string;
  /** The masters' ports, free ones by default. */
  ports?: ClusterPorts;
  readyTimeoutMs?: number;
};

/** `pid` is the first master's; `kill` and `stop` reach all of them. */
export type RedisCluster = RunningServer<"redisCluster"> & {
  masters: readonly RedisServer[];
  ports: ClusterPorts;
};

/**
 * Starts a Redis Cluster of three masters without replicas, and resolves when each says `cluster_state:ok`.
 * Started again on the same directory and ports, it has its data back.
 * @throws KeylineError `local_server_failed`.
 */
export async function startRedisCluster(
  installation: RedisInstallation,
  options: RedisClusterOptions,
): Promise<RedisCluster> {
  const ports = options.ports ?? (await freeClusterPorts());
  const started = await Promise.allSettled(
    ports.clients.map((port, index) =>
      startRedis(installation, {
        directory: join(options.directory, `master-${index + 1}`),
        port,
        settings: clusterSettings(ports.bus[index]!),
      }),
    ),
  );
  const servers = started.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const stop = async () => {
    await Promise.all(servers.map((server) => server.stop()));
  };
  try {
    const failure = started.find((result) => result.status === "rejected");
    if (failure !== undefined) throw failure.reason;
    await joinMasters(ports, options.readyTimeoutMs ?? 30_000);
  } catch (thrown) {
    await stop();
    throw thrown;
  }
  return {
    name: "redis cluster",
    urls: { redisCluster: clusterUrl(ports) },
    pid: servers[0]!.pid,
    logFile: servers[0]!.logFile,
    masters: servers,
    ports,
    stop,
    kill: (signal) => {
      for (const server of servers) server.kill(signal);
    },
  };
}

export async function freeClusterPorts(): Promise<ClusterPorts> {
  const free = await freePorts(2 * masters);
  return { clients: free.slice(0, masters), bus: free.slice(masters) };
}

export function clusterUrl(ports: ClusterPorts): string {
  return `redis+cluster://${ports.clients.map((port) => `127.0.0.1:${port}`).join(",")}`;
}

/**
 * Gives each of the masters that know nothing yet its share of the slots, makes them meet, and resolves when
 * all agree.
 */
export async function joinMasters({ clients, bus }: ClusterPorts, timeoutMs: number): Promise<void> {
  await Promise.all(clients.map(assignSlots));
  await withRedis(clients[0]!, async (first) => {
    for (const [index, port] of clients.entries()) {
      if (index > 0) await first.call("CLUSTER", "MEET", "127.0.0.1", String(port), String(bus[index]));
    }
  });
  const deadline = performance.now() + timeoutMs;
  for (const port of clients) await untilClusterIsOk(port, deadline);
}

async function assignSlots(port: number, index: number): Promise<void> {
  const info = await clusterInfo(port);
  if (info.cluster_slots_assigned !== "0") return;
  const first = Math.floor((index * slots) / masters);
  const last = Math.floor(((index + 1) * slots) / masters) - 1;
  await withRedis(port, async (redis) => {
    // Different epochs, so that no two masters ever argue about who has the newer configuration.
    await redis.call("CLUSTER", "SET-CONFIG-EPOCH", String(index + 1));
    await redis.call("CLUSTER", "ADDSLOTSRANGE", String(first), String(last));
  });
}

async function untilClusterIsOk(port: number, deadline: number): Promise<void> {
  for (;;) {
    const info = await clusterInfo(port);
    if (info.cluster_state === "ok" && info.cluster_known_nodes === String(masters)) return;
    if (performance.now() >= deadline) {
      const message = `the Redis Cluster did not form in time; 127.0.0.1:${port} says ${JSON.stringify(info)}`;
      throw new KeylineError("local_server_failed", message, { value: info });
    }
    await delay(50);
  }
}

async function clusterInfo(port: number): Promise<Record<string, string>> {
  const text = await withRedis(port, (redis) => redis.call("CLUSTER", "INFO"));
  return Object.fromEntries(
    String(text)
      .trim()
      .split("\r\n")
      .map((line) => line.split(":") as [string, string]),
  );
}
