/**
 * A connection to Redis that never waits for it: while Redis is away commands fail at once, and the connection
 * is made again in the background, for ever.
 */
import { Cluster, Redis, type RedisOptions } from "ioredis";
import { parseRedisUrl, type RedisTarget } from "./redis-url.ts";

export type RedisConnection = {
  /** "Redis at redis://…", without the password. */
  description: string;
  /** Where the commands go; one client however many servers. */
  client: { kind: "single"; redis: Redis } | { kind: "cluster"; cluster: Cluster };
  /** Why the connection failed last, or what it waits for, for the message of `store_unavailable`. */
  lastError(): Error | undefined;
  /** Ends the connection; commands under way fail. Close the stores on it first. */
  close(): Promise<void>;
};

export type RedisConnectionOptions = {
  /** A server that owes an answer and sends nothing for this long is given up and connected anew. Default 2,000. */
  stallTimeoutMs?: number;
  /** Default 2,000. */
  connectTimeoutMs?: number;
  /** The longest pause between two attempts to connect. Default 2,000. */
  maxReconnectDelayMs?: number;
};

/** How long a socket that is being closed may wait for a server that hangs. */
const disconnectTimeoutMs = 200;

/** How often a server that loads its data is asked whether it has; by default ioredis waits up to 10 s. */
const loadingPollMs = 500;

type CommonOptions = Pick<
  RedisOptions,
  | "connectTimeout"
  | "disconnectTimeout"
  | "socketTimeout"
  | "maxRetriesPerRequest"
  | "reconnectOnError"
  | "maxLoadingRetryTime"
  | "username"
  | "password"
  | "tls"
>;

/**
 * @param url `redis://`, `rediss://`, `redis+sentinel://host:port,host:port/masterName` or
 *   `redis+cluster://host:port,host:port`.
 * @throws KeylineError `bad_redis_url`
 */
export function openRedis(url: string, options: RedisConnectionOptions = {}): RedisConnection {
  const { stallTimeoutMs = 2_000, connectTimeoutMs = 2_000, maxReconnectDelayMs = 2_000 } = options;
  const target = parseRedisUrl(url);
  let lastError: Error | undefined;
  const retryStrategy = (attempts: number) => {
    const ceilingMs = Math.min(maxReconnectDelayMs, 50 * 2 ** Math.min(attempts, 10));
    return Math.round(ceilingMs * (0.5 + Math.random() / 2));
  };
  const common: CommonOptions = {
    connectTimeout: connectTimeoutMs,
    disconnectTimeout: disconnectTimeoutMs,
    socketTimeout: stallTimeoutMs,
    // Zero: what was under way when the connection broke fails then and is never sent again. With
    // `autoResendUnfulfilledCommands: false` instead, ioredis 6 would leave it without an answer for ever.
    maxRetriesPerRequest: 0,
    // A primary that became a replica, behind a name or Sentinel that knows the new one.
    reconnectOnError(error) {
      if (!error.message.includes("READONLY")) return false;
      lastError = error;
      return true;
    },
    maxLoadingRetryTime: loadingPollMs,
    username: target.username,
    password: target.password,
    tls: target.tls ? {} : undefined,
  };
  const client = connect(target, common, retryStrategy);
  const emitter = client.kind === "single" ? client.redis : client.cluster;
  emitter.on("error", (error: Error) => {
    lastError = error;
  });
  emitter.on("connect", () => {
    lastError = new Error("connected, but not ready: it is loading its data, or hangs");
  });
  return {
    description: `Redis at ${target.description}`,
    client,
    lastError: () => lastError,
    async close() {
      if (emitter.status === "end") return;
      const ended = Promise.withResolvers<void>();
      emitter.once("end", ended.resolve);
      emitter.disconnect();
      // ioredis never says "end" when it was between two attempts to connect.
      const timer = setTimeout(ended.resolve, 2 * disconnectTimeoutMs);
      await ended.promise;
      clearTimeout(timer);
    },
  };
}

function connect(
  target: RedisTarget,
  common: CommonOptions,
  retryStrategy: (attempts: number) => number,
): RedisConnection["client"] {
  const offline = { enableOfflineQueue: false };
  switch (target.kind) {
    case "single": {
      const { address, database } = target;
      const redis = new Redis({ ...common, ...address, ...offline, retryStrategy, db: database });
      return { kind: "single", redis };
    }
    case "sentinel": {
      const { sentinels, masterName } = target;
      const sentinel = { sentinels, name: masterName, sentinelRetryStrategy: retryStrategy };
      const redis = new Redis({
        ...common,
        ...sentinel,
        ...offline,
        retryStrategy,
        enableTLSForSentinelMode: target.tls,
      });
      return { kind: "single", redis };
    }
    case "cluster": {
      const cluster = new Cluster(target.nodes, {
        ...offline,
        redisOptions: common,
        clusterRetryStrategy: retryStrategy,
        clusterNodeRetryStrategy: retryStrategy,
        slotsRefreshInterval: 2_000,
        maxRedirections: 4,
      });
      return { kind: "cluster", cluster };
    }
  }
}
