/**
 * `npm run bench:scale`: the same backlog drained by 1, 2 and 4 service processes that have a share of a core each, on
 * real servers of this machine; what of one user's updates overlaps, and what a process that joins costs the others.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Option } from "commander";
import type { Update } from "../shared/domain/envelope.ts";
import { connectPublisher } from "../shared/publish/connect-publisher.ts";
import { createLog } from "../shared/runtime/log.ts";
import { numberArgument } from "../test/support/number-argument.ts";
import { type RealStack, startRealStack } from "../test/support/real-stack.ts";
import { startService } from "../test/support/service-process.ts";
import { storedBytes } from "../test/support/stored-bytes.ts";
import { type BacklogOptions, backlogCommand } from "./backlog-options.ts";
import { joinOne, leaveOne, PER_SECOND, WARM_UP_MS } from "./churn.ts";
import { type CpuLimits, openCpuLimits } from "./cpu-limit.ts";
import { measureEndToEnd } from "./end-to-end.ts";
import { createFigures, percentile } from "./figures.ts";
import { holdSubscription } from "./held-subscription.ts";
import { openProbes } from "./latency.ts";
import { inPacks, prefill } from "./prefill.ts";
import { type DrainResult, drainScaled, keyPrefixOf, sum } from "./scaled-drain.ts";
import { serverUsage } from "./server-usage.ts";
import { countsOf } from "./service-counts.ts";
import { evenly } from "./updates.ts";
import { openUpdatesTopic, untilConnected } from "./updates-topic.ts";
import { wrongProfiles } from "./wrong-profiles.ts";

const command = backlogCommand(
  "bench:scale",
  "Drains a backlog with 1, 2 and 4 CPU-limited processes, and lets one join under live traffic.",
  { updates: 160_000, users: 30_000 },
)
  .option("--cpu-percent <n>", "of one core, for each process", numberArgument(5, 100), 12)
  .addOption(new Option("--only <part>", "one of the two parts").choices(["drain", "join"]))
  .parse();
const options = command.opts<BacklogOptions & { cpuPercent: number; only?: "drain" | "join" }>();

/**
 * The first of the backlog are one update each of a user of their own. Processes still come while these are applied, and
 * a user whom one process writes and then another makes a conflict in the store too.
 */
const FIRST_COMERS = 0.45;

/** Each drains the backlog by a subscription of its own. */
const DRAINS = {
  "1": { processes: 1 },
  "2": { processes: 2 },
  "4": { processes: 4 },
  joining: { processes: 2, joining: 2 },
};
const WARM_UP = "warm-up";
const JOINS = 3;
/** Of the live traffic, in turn: every user has an update in any three seconds, also those who have changed hands. */
const LIVE_USERS = 1_000;

const figures = createFigures();
const share = options.cpuPercent / 100;
const limits = limitsOrRefusal();
const stack = await startRealStack({ partitions: options.partitions, tuning: "full", report: console.log });
try {
  if (options.only !== "join") await measureDrains(stack);
  if (options.only !== "drain") await measureJoins(stack);
} finally {
  await stack.close();
  limits.close();
}
console.log();
figures.print();
if (options.json !== undefined) figures.writeJson(options.json);

function limitsOrRefusal(): CpuLimits {
  try {
    return openCpuLimits();
  } catch (error) {
    return command.error((error as Error).message);
  }
}

/** Once to warm the broker up, and then each number of processes. */
async function measureDrains(on: RealStack): Promise<void> {
  const letGo = new Map<string, () => Promise<void>>();
  for (const name of [WARM_UP, ...Object.keys(DRAINS)]) letGo.set(name, await holdSubscription(on, name));
  const published = await fillBacklog(on);
  console.log("warming up");
  await measureEndToEnd(on, WARM_UP, options.updates, letGo.get(WARM_UP)!);
  figures.add("scale.cpuPercent", options.cpuPercent, "% of a core");
  const rates = new Map<string, number>();
  for (const [name, drain] of Object.entries(DRAINS)) {
    console.log(`draining: ${name}`);
    const { updates, partitions } = options;
    const result = await drainScaled({
      ...{ stack: on, subscription: name, updates, partitions, limits, share, letGo: letGo.get(name)! },
      ...drain,
    });
    rates.set(name, result.appliedPerSecond);
    addDrain(name, result);
    figures.add(
      `scale.${name}.wrongProfiles`,
      await wrongProfiles(on.urls.redis, keyPrefixOf(name), published),
      "users",
    );
  }
  figures.add("scale.2to1", rates.get("2")! / rates.get("1")!, "times");
  figures.add("scale.4to1", rates.get("4")! / rates.get("1")!, "times");
}

async function fillBacklog(on: RealStack): Promise<Update[]> {
  const { updates, users } = options;
  const { queue, topic } = await openUpdatesTopic(on.environment);
  const producer = queue.producer({ topic, sendTimeoutMs: 60_000, maxPending: 10_000 });
  await untilConnected(producer);
  console.log(`publishing ${updates} updates`);
  const published: Update[] = [];
  const measured = evenly(users);
  const userOf = (number: number) => (number < updates * FIRST_COMERS ? `first-${number}` : measured(number));
  const before = await serverUsage(on);
  await prefill(inPacks(producer), { updates, userOf, onUpdate: (update) => published.push(update) });
  const brokerSeconds = (await serverUsage(on)).brokerSeconds - before.brokerSeconds;
  figures.add("scale.publish.brokerMicros", (brokerSeconds / updates) * 1e6, "us/update");
  figures.add(
    "scale.publish.storedBytes",
    (await storedBytes(on.urls.admin, topic)) / updates,
    "bytes/update",
  );
  await queue.close();
  return published;
}

function addDrain(name: string, result: DrainResult): void {
  const { appliedPerSecond, seconds, steady, afterJoining, conflictsAtStart } = result;
  figures.add(`scale.${name}.appliedHeld`, result.appliedHeld, "updates");
  const applied = steady.map(({ counted }) => counted);
  console.log(`  by each: ${steady.map((each) => JSON.stringify(each)).join(" ")}`);
  figures.add(`scale.${name}.appliedPerSecond`, appliedPerSecond, "updates/s");
  if (afterJoining.length === 0) {
    const { brokerSeconds, redisSeconds, redisBytes } = result.servers;
    const each = appliedPerSecond * seconds;
    figures.add(`scale.${name}.brokerMicros`, (brokerSeconds / each) * 1e6, "us/update");
    figures.add(`scale.${name}.redisMicros`, (redisSeconds / each) * 1e6, "us/update");
    figures.add(`scale.${name}.redisBytes`, redisBytes / each, "bytes/update");
    const cpu = sum(steady, "cpuSeconds") / seconds / steady.length;
    figures.add(`scale.${name}.cpuPercentUsed`, cpu * 100, "% of a core");
    figures.add(
      `scale.${name}.busiestShare`,
      Math.max(...applied) / sum(steady, "counted"),
      "of all updates",
    );
  }
  figures.add(`scale.${name}.conflictsAtStart`, conflictsAtStart, "saves");
  figures.add(`scale.${name}.conflicts`, sum(steady, "conflicts"), "saves");
  if (afterJoining.length === 0) return;
  const stayed = afterJoining.slice(0, steady.length);
  const joined = afterJoining.slice(steady.length);
  console.log(`  after joining, by each: ${afterJoining.map((each) => JSON.stringify(each)).join(" ")}`);
  figures.add(`scale.${name}.conflictsOfThoseThere`, sum(stayed, "conflicts"), "saves");
  figures.add(`scale.${name}.conflictsOfThoseJoining`, sum(joined, "conflicts"), "saves");
  figures.add(`scale.${name}.appliedByThoseJoining`, sum(joined, "counted"), "updates");
  figures.add(`scale.${name}.repeats`, sum(afterJoining, "repeats"), "updates");
}

/** Publish to visible at a steady rate, while a third joins two; each time the oldest leaves afterwards. */
async function measureJoins(on: RealStack): Promise<void> {
  const startOne = () => startService(on.environment, "/dev/null");
  const startLimited = async () => {
    const service = await startOne();
    limits.limit(service.pid, share);
    return service;
  };
  const services = [await startOne(), await startOne()];
  const { PULSAR_URL: pulsarUrl, SQS_QUEUE_URL: sqsQueueUrl, REDIS_URL: redisUrl } = on.environment;
  Object.assign(process.env, on.environment);
  const publisher = await connectPublisher(
    { pulsarUrl: pulsarUrl!, sqsQueueUrl: sqsQueueUrl!, redisUrl: redisUrl! },
    createLog("bench", "error"),
  );
  const probes = await openProbes(on, publisher);
  let next = 0;
  const live = (ends: Promise<unknown>) => probes.run(PER_SECOND, ends, () => `user-${next++ % LIVE_USERS}`);
  try {
    console.log(`letting one join, live at ${PER_SECOND}/s`);
    await live(sleep(WARM_UP_MS));
    for (const { pid } of services) limits.limit(pid, share);
    const alone = await live(sleep(WARM_UP_MS));
    const joins: Join[] = [];
    while (joins.length < JOINS) {
      const before = await Promise.all(services.map(countsOf));
      const latenciesMs = await live(joinOne(services, startLimited));
      const after = await Promise.all(services.map(countsOf));
      const conflicts = after.map((counts, index) => counts.conflicts - (before[index]?.conflicts ?? 0));
      joins.push({ latenciesMs, conflicts });
      await live(leaveOne(services));
    }
    addJoins(alone, joins);
  } finally {
    await publisher.close();
    await probes.close();
    for (const service of services) service.kill("SIGTERM");
    await Promise.all(services.map(({ exited }) => exited));
  }
}

/** Conflicts of those that were there, and last of the one that joined. */
type Join = { latenciesMs: number[]; conflicts: number[] };

function addJoins(alone: readonly number[], joins: readonly Join[]): void {
  for (const { latenciesMs, conflicts } of joins)
    console.log(
      `  a join: longest ${Math.round(Math.max(...latenciesMs))} ms, conflicts ${conflicts.join(", ")}`,
    );
  const all = joins.flatMap(({ latenciesMs }) => latenciesMs);
  figures.add("scale.join.updatesPerSecond", PER_SECOND, "updates/s");
  figures.add("scale.join.aloneP99", percentile(alone, 0.99), "ms");
  figures.add("scale.join.aloneLongest", Math.max(...alone), "ms");
  figures.add("scale.join.p50", percentile(all, 0.5), "ms");
  figures.add("scale.join.p99", percentile(all, 0.99), "ms");
  figures.add("scale.join.longest", Math.max(...all), "ms");
  const conflictsOf = (which: (conflicts: number[]) => number[]) =>
    joins.flatMap(({ conflicts }) => which(conflicts)).reduce((total, each) => total + each, 0);
  figures.add(
    "scale.join.conflictsOfThoseThere",
    conflictsOf((each) => each.slice(0, -1)),
    "saves",
  );
  figures.add(
    "scale.join.conflictsOfThoseJoining",
    conflictsOf((each) => each.slice(-1)),
    "saves",
  );
}
