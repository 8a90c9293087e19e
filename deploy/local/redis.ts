import { join } from "node:path";
import { Redis } from "ioredis";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { freePort } from "./free-ports.ts";
import { type Report, type RunningServer, startServer } from "./server-process.ts";
import { findProgram, installPackages, runProgram } from "./tools.ts";

const minimumMajorVersion = 7;

export type RedisInstallation = { program: string; version: string };
export type RedisOptions = {
  /** Append-only file and log. A server started again on it has its data back. */
  directory: string;
  port?: number;
  /** Settings as `redis-server` takes them, by name without dashes. */
  settings?: Readonly<Record<string, string>>;
  readyTimeoutMs?: number;
  /** As in `ServerCommand`. */
  onSpawn?: (pid: number) => void;
};
export type RedisServer = RunningServer<"redis">;

/** The settings that the project's Redis runs with, wherever it runs. */
export const redisSettings: Readonly<Record<string, string>> = {
  appendonly: "yes",
  appendfsync: "everysec",
  save: "",
  // A profile's machinery is longer than the default of 64 bytes; above it a hash takes twice the memory.
  "hash-max-listpack-value": "1024",
  // From 64 MB on by default: a new server rewrites its file again and again, which takes a fifth of two cores.
  "auto-aof-rewrite-min-size": "1gb",
};

/**
 * Finds `redis-server`, or installs it by apt-get as root.
 * @throws KeylineError `local_tool_missing` when there is none, or it is older than 7.
 */
export async function installRedis(report: Report): Promise<RedisInstallation> {
  if (findProgram("redis-server") === undefined) {
    await installPackages(["redis-server"], "Redis needs redis-server >= 7", report);
  }
  const program = findProgram("redis-server") ?? "redis-server";
  const output = await runProgram(program, ["--version"], { timeoutMs: 10_000 });
  const version = /v=(\d+)\.[\d.]+/.exec(output);
  if (version === null || Number(version[1]) < minimumMajorVersion) {
    const message = `${program} is ${output.trim()}; version ${minimumMajorVersion} or newer is needed`;
    throw new KeylineError("local_tool_missing", message, { value: output.trim() });
  }
  return { program, version: version[0].slice(2) };
}

/**
 * Starts one Redis server.
 * @throws KeylineError `local_server_failed`.
 */
export async function startRedis(
  installation: RedisInstallation,
  options: RedisOptions,
): Promise<RedisServer> {
  const port = options.port ?? (await freePort());
  const settings = { bind: "127.0.0.1", port: String(port), dir: options.directory, ...redisSettings };
  return startServer({
    name: "redis",
    urls: { redis: `redis://127.0.0.1:${port}` },
    command: installation.program,
    arguments: redisArguments({ ...settings, ...options.settings }),
    directory: options.directory,
    logFile: join(options.directory, "redis.log"),
    isReady: () => withRedis(port, async (redis) => (await redis.ping()) === "PONG"),
    readyTimeoutMs: options.readyTimeoutMs ?? 30_000,
    stopTimeoutMs: 10_000,
    onSpawn: options.onSpawn,
  });
}

/** Settings as arguments of `redis-server`. */
export function redisArguments(settings: Readonly<Record<string, string>>): string[] {
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
}

/** Runs `use` with a connection of its own that gives up at once when the server is away. */
export async function withRedis<T>(port: number, use: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis({
    host: "127.0.0.1",
    port,
    lazyConnect: true,
    connectTimeout: 2_000,
    commandTimeout: 5_000,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
  });
  // The rejected call says it already.
  redis.on("error", () => {});
  try {
    await redis.connect();
    return await use(redis);
  } finally {
    redis.disconnect();
  }
}
