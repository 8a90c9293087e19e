/** How each fault is done to real processes. */
import { execFile } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { withRedis } from "../../deploy/local/redis.ts";
import type { RealStack } from "../support/real-stack.ts";
import type { TcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import type { Fleet } from "./fleet.ts";
import type { Action, Server, Slot } from "./schedule.ts";

export type World = {
  stack: RealStack;
  fleet: Fleet;
  /** Told of each process that was asked to leave: its exit code and how long it took. */
  onStopped(slot: Slot, code: number | null, tookMs: number): void;
};

const SLOW = { delayMs: 150, bytesPerSecond: 200_000 };
/** What a full disk still has room for. */
const ROOM_BYTES = 4_096;
const LITTLE_MEMORY = "1mb";

/** Does it, keeps it up for `durationMs`, and undoes it. Resolves when what was broken works again. */
export async function carryOut(action: Action, durationMs: number, world: World): Promise<void> {
  const { stack, fleet } = world;
  switch (action.kind) {
    case "pause": {
      const target = targetOf(action.what, world);
      target.kill("SIGSTOP");
      await sleep(durationMs);
      target.kill("SIGCONT");
      return;
    }
    case "kill":
      if (action.what === "pulsar") return stack.crashPulsar(durationMs);
      if (action.what === "redis") return stack.crashRedis(durationMs);
      fleet.process(action.what).kill("SIGKILL");
      await fleet.process(action.what).exited;
      await sleep(durationMs);
      return fleet.start(action.what);
    case "stop":
      await stop(action.what, world);
      await sleep(durationMs);
      return fleet.start(action.what);
    case "slow":
      return breakLines(action, durationMs, fleet, (line) => line.slow(SLOW));
    case "half-open":
      return breakLines(action, durationMs, fleet, (line) => line.stall());
    case "reset":
      return breakLines(action, durationMs, fleet, (line) => line.cut());
    case "full-disk":
      return fillDisk(stack, durationMs);
    case "full-memory":
      await configure(stack, "maxmemory", LITTLE_MEMORY);
      await sleep(durationMs);
      return configure(stack, "maxmemory", "0");
    case "clock":
      fleet.setClock(action.what, action.stepMs);
      await sleep(durationMs);
      fleet.setClock(action.what, 0);
      return;
  }
}

/** SIGTERM, and waits for the end. */
export async function stop(slot: Slot, { fleet, onStopped }: World): Promise<void> {
  const process = fleet.process(slot);
  const beganMs = performance.now();
  process.kill("SIGTERM");
  const code = await process.exited;
  onStopped(slot, code, performance.now() - beganMs);
}

function targetOf(what: Server | Slot, { stack, fleet }: World): { kill(signal: NodeJS.Signals): void } {
  if (what === "pulsar") return stack.pulsar();
  if (what === "sqs") return stack.localStack();
  if (what === "redis") return stack.redis();
  return fleet.process(what);
}

async function breakLines(
  { server, slots }: { server: Server; slots: Slot[] },
  durationMs: number,
  fleet: Fleet,
  broken: (line: TcpProxy) => void,
): Promise<void> {
  const lines = slots.map((slot) => fleet.line(slot, server));
  for (const line of lines) broken(line);
  await sleep(durationMs);
  for (const line of lines) line.restore();
}

/**
 * Redis may not make its append-only file longer: the system refuses its writes as a full disk does. With
 * `appendfsync always` Redis ends itself then, so that for this time it is `everysec`, under which it refuses
 * writes until the file can grow again.
 */
async function fillDisk(stack: RealStack, durationMs: number): Promise<void> {
  await configure(stack, "appendfsync", "everysec");
  const directory = join(stack.redisDirectory, "appendonlydir");
  const sizes = readdirSync(directory).map((file) => statSync(join(directory, file)).size);
  const limit = (bytes: number | "unlimited") =>
    promisify(execFile)("prlimit", [`--pid=${stack.redis().pid}`, `--fsize=${bytes}:`]);
  await limit(Math.max(...sizes) + ROOM_BYTES);
  await sleep(durationMs);
  await limit("unlimited");
  await until("Redis writes its file again", async () =>
    withRedis(portOf(stack), async (redis) =>
      (await redis.info("persistence")).includes("aof_last_write_status:ok"),
    ),
  );
  await configure(stack, "appendfsync", "always");
}

async function configure(stack: RealStack, name: string, value: string): Promise<void> {
  await withRedis(portOf(stack), (redis) => redis.config("SET", name, value));
}

function portOf({ urls }: RealStack): number {
  return Number(new URL(urls.redis).port);
}
