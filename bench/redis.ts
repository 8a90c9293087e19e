/**
 * `npm run bench:redis`: how much of what Redis itself can do the service gets from it. redis-benchmark calls the very
 * script that saves profiles, pipelined; beside it the service's flow is fed from memory and saves to the same server,
 * in turn, because the machine's speed drifts. Both are counted in users saved, since one call saves many.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { Command } from "commander";
import { Redis } from "ioredis";
import { installRedis, startRedis } from "../deploy/local/redis.ts";
import { openStores } from "../shared/adapters/open.ts";
import { NO_DEFINITIONS } from "../shared/domain/definitions/compile.ts";
import type { ProfileStore, ProfileWrite } from "../shared/ports/profile-store.ts";
import type { Delivery } from "../shared/ports/update-queue.ts";
import { numberArgument } from "../test/support/number-argument.ts";
import { seededRandom } from "../test/support/seeded-updates.ts";
import { until } from "../test/support/until.ts";
import { createFigures, median } from "./figures.ts";
import { createMemoryFlow, deliveriesOf, flowSettings, type MemoryFlow } from "./memory-flow.ts";
import { cpuSeconds } from "./process-usage.ts";
import { benchmarkUser, prepareBenchmark, runBenchmark } from "./redis-benchmark.ts";
import { createBenchUpdates, evenly } from "./updates.ts";

const count = numberArgument(1_000, 10_000_000);
const options = new Command("npm run bench:redis --")
  .description("Measures how fast the service saves profiles beside redis-benchmark with the same script.")
  .option("--json <file>", "write every figure with its unit to a file")
  .option("--users <n>", "users with a record each", count, 100_000)
  .option("--updates <n>", "updates in each round, and users that redis-benchmark saves", count, 100_000)
  .option("--rounds <n>", "measurements of each kind", numberArgument(1, 20), 5)
  .parse()
  .opts<{ json?: string; users: number; updates: number; rounds: number }>();

const SEED = 1;

/** What one side did in a round; CPU in microseconds for each user that was saved. */
type Measured = { usersPerSecond: number; clientMicros: number; redisMicros: number };

/** `store` is the profile store without the flow around it, given the same write again and again. */
type Side = "benchmark" | "store" | "service";

/** Users saved so far, and the last write. */
type Saved = { users: number; last: ProfileWrite | undefined };

// As the service has it (services/audience-update/main.ts).
setFlagsFromString("--no-allocation-site-pretenuring");
setFlagsFromString("--no-parallel-scavenge");

const figures = createFigures();
const directory = mkdtempSync(join(tmpdir(), "keyline-redis-"));
const server = await startRedis(await installRedis(console.log), { directory });
const { store, connection } = openStores({
  redisUrl: server.urls.redis,
  redisKeyPrefix: "kl:",
  redisCommandTimeoutMs: 5_000,
});
const redis = new Redis(server.urls.redis);
try {
  await until("Redis answers", () =>
    store.ping().then(
      () => true,
      () => false,
    ),
  );
  await measureAll();
} finally {
  redis.disconnect();
  await store.close();
  await connection.close();
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
}
console.log();
figures.print();
if (options.json !== undefined) figures.writeJson(options.json);

async function measureAll(): Promise<void> {
  const saved: Saved = { users: 0, last: undefined };
  const flow = createMemoryFlow({ store: counting(store, saved), definitions: NO_DEFINITIONS });
  const { users, updates } = options;
  const anyone = evenly(users);
  // First each once, so that all are known.
  const next = createBenchUpdates((number) => (number < users ? `user-${number}` : anyone(number)));
  console.log(`writing a record for each of ${users} users, for either side`);
  await flow.drain(deliveriesOf(next, 0, users));
  await flow.drain(deliveriesOf(next, users, updates));
  const write = saved.last!;
  await prepareBenchmark(redis, users, write);
  figures.add("redis.recordBytes", Buffer.byteLength(write.machinery), "bytes");
  figures.add("redis.attributesSaved", write.setAttributes.length, "attributes");
  const measured: Record<Side, Measured[]> = { benchmark: [], store: [], service: [] };
  for (let round = 0; round < options.rounds; round += 1) {
    const deliveries = deliveriesOf(next, users + updates * (round + 1), updates);
    measured.benchmark.push(await measureBenchmark(write));
    measured.store.push(await measureStore(write));
    measured.service.push(await measureService(flow, deliveries, saved));
  }
  await flow.close();
  addFigures(measured);
}

async function measureBenchmark(write: ProfileWrite): Promise<Measured> {
  const { users, updates: saves } = options;
  const startedRedis = cpuSeconds(server.pid);
  const { port } = new URL(server.urls.redis);
  const measured = await runBenchmark(redis, { port, users, saves, write });
  return {
    usersPerSecond: measured.usersPerSecond,
    clientMicros: (measured.clientCpuSeconds / measured.saved) * 1e6,
    redisMicros: ((cpuSeconds(server.pid) - startedRedis) / measured.saved) * 1e6,
  };
}

async function measureStore(write: ProfileWrite): Promise<Measured> {
  const { users, updates: saves } = options;
  const anyone = seededRandom(SEED);
  const writes = Array.from({ length: saves }, () => {
    const user = benchmarkUser(Math.floor(anyone() * users));
    return { ...write, user, expectedVersion: write.version };
  });
  return measured(async () => {
    let next = 0;
    const lane = async () => {
      while (next < saves) {
        const from = next;
        next += flowSettings.maxUsersPerRound;
        const results = await store.save(writes.slice(from, next));
        if (results.some(({ outcome }) => outcome !== "saved")) throw new Error("a profile was not saved");
      }
    };
    await Promise.all(Array.from({ length: flowSettings.maxRounds }, lane));
    return saves;
  });
}

function measureService(flow: MemoryFlow, deliveries: readonly Delivery[], saved: Saved): Promise<Measured> {
  return measured(async () => {
    const before = saved.users;
    await flow.drain(deliveries);
    return saved.users - before;
  });
}

/** @param work in this process. Resolves with how many users were saved. */
async function measured(work: () => Promise<number>): Promise<Measured> {
  const startedRedis = cpuSeconds(server.pid);
  const startedCpu = process.cpuUsage();
  const startedAtMs = performance.now();
  const users = await work();
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const { user, system } = process.cpuUsage(startedCpu);
  return {
    usersPerSecond: users / seconds,
    clientMicros: (user + system) / users,
    redisMicros: ((cpuSeconds(server.pid) - startedRedis) / users) * 1e6,
  };
}

function addFigures(measured: Record<Side, Measured[]>): void {
  for (const [side, rounds] of Object.entries(measured)) {
    const middle = (figure: keyof Measured) => median(rounds.map((each) => each[figure]));
    figures.add(`redis.${side}.usersPerSecond`, middle("usersPerSecond"), "users/s");
    figures.add(`redis.${side}.cpuMicros`, middle("clientMicros"), "us/user");
    figures.add(`redis.${side}.redisCpuMicros`, middle("redisMicros"), "us/user");
  }
  addRatio("redis.storeRatio", measured.store, measured.benchmark);
  addRatio("redis.ratio", measured.service, measured.benchmark);
}

/** Each with its neighbour in time. */
function addRatio(name: string, those: readonly Measured[], benchmark: readonly Measured[]): void {
  const ratios = those.map(({ usersPerSecond }, round) => usersPerSecond / benchmark[round]!.usersPerSecond);
  console.log(`  ${name} of each round: ${ratios.map((ratio) => ratio.toFixed(2)).join(", ")}`);
  figures.add(name, median(ratios), "of redis-benchmark");
}

/** The store, with what it has saved. */
function counting(of: ProfileStore, saved: Saved): ProfileStore {
  return {
    ...of,
    async save(writes) {
      const results = await of.save(writes);
      for (const { outcome } of results) if (outcome === "saved") saved.users += 1;
      saved.last = writes.at(-1);
      return results;
    },
  };
}
