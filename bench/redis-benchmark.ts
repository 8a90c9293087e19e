import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { profileKey } from "../shared/adapters/redis/profile-key.ts";
import { appendSaveArguments, saveScript } from "../shared/adapters/redis/profile-script.ts";
import type { ProfileWrite, UserKey } from "../shared/ports/profile-store.ts";
import { cpuSeconds } from "./process-usage.ts";

/** As many as the profile store puts into one call of the script. */
const USERS_PER_CALL = 32;
/** Together as many users under way as the flow has by default. */
const CONNECTIONS = 4;
const CALLS_IN_PIPELINE = 8;
const FILLED_AT_ONCE = 1_000;
const LOOK_EVERY_MS = 20;

/** redis-benchmark writes a number of 12 digits here, another one each time. */
const ANY_USER = profileKey("kl:", { tenant: "bench", userId: "__rand_int__" });

/** By number, from 0 on. */
export function benchmarkUser(number: number): UserKey {
  return { tenant: "bench", userId: String(number).padStart(12, "0") };
}

/** Has the script known, and a record like `write` for each of the users that redis-benchmark writes. */
export async function prepareBenchmark(redis: Redis, users: number, write: ProfileWrite): Promise<void> {
  await redis.script("LOAD", saveScript.text);
  const args: (string | number)[] = [];
  appendSaveArguments(args, { ...write, expectedVersion: undefined });
  for (let from = 0; from < users; from += FILLED_AT_ONCE) {
    const pipeline = redis.pipeline();
    for (let user = from; user < Math.min(users, from + FILLED_AT_ONCE); user += 1)
      pipeline.evalsha(saveScript.sha, 1, profileKey("kl:", benchmarkUser(user)), ...args);
    await pipeline.exec();
  }
}

/**
 * redis-benchmark saves this write again and again, for users drawn at random: it expects the version that it writes.
 *
 * @throws where it fails, or Redis did not save all of it.
 */
export async function runBenchmark(
  redis: Redis,
  { port, users, saves, write }: { port: string; users: number; saves: number; write: ProfileWrite },
): Promise<{ usersPerSecond: number; clientCpuSeconds: number; saved: number }> {
  const args: (string | number)[] = [];
  for (let n = 0; n < USERS_PER_CALL; n += 1)
    appendSaveArguments(args, { ...write, expectedVersion: write.version });
  const calls = Math.ceil(saves / USERS_PER_CALL);
  const keys = new Array<string>(USERS_PER_CALL).fill(ANY_USER);
  const how = { p: port, c: CONNECTIONS, P: CALLS_IN_PIPELINE, n: calls, r: users };
  const before = await writesOf(redis);
  const benchmark = spawn(
    "redis-benchmark",
    [
      ...Object.entries(how).flatMap(([name, value]) => [`-${name}`, String(value)]),
      ...["-q", "EVALSHA", saveScript.sha, String(USERS_PER_CALL), ...keys, ...args.map(String)],
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const exited = new Promise<number | null>((resolve) => benchmark.once("exit", resolve));
  const told = text(benchmark.stdout);
  const clientCpuSeconds = await cpuUntil(benchmark.pid!, exited);
  const output = await told;
  const callsPerSecond = Number([...output.matchAll(/([\d.]+) requests per second/g)].at(-1)?.[1]);
  const saved = (await writesOf(redis)) - before;
  if ((await exited) !== 0 || saved < saves || !(callsPerSecond > 0))
    throw new Error(`redis-benchmark saved ${saved} of ${saves} users: ${output.slice(-500)}`);
  return { usersPerSecond: callsPerSecond * USERS_PER_CALL, clientCpuSeconds, saved };
}

/** How often Redis has written a hash: once for each user that is saved. */
async function writesOf(redis: Redis): Promise<number> {
  return Number(/cmdstat_hset:calls=(\d+)/.exec(await redis.info("commandstats"))?.[1] ?? 0);
}

/** What a process has used when it was last looked at before its end. */
async function cpuUntil(pid: number, exited: Promise<unknown>): Promise<number> {
  let seconds = 0;
  let ended = false;
  void exited.then(() => {
    ended = true;
  });
  while (!ended) {
    try {
      // Zero once it has ended.
      seconds = Math.max(seconds, cpuSeconds(pid));
    } catch {
      break;
    }
    await sleep(LOOK_EVERY_MS);
  }
  return seconds;
}
