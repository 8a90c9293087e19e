/**
 * `npm run bench:hot`: what it costs everybody that half of all traffic is one user's, on real servers of this
 * machine. Beside the same traffic spread evenly over all users, in turn, because the machine's speed drifts.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Command, Option } from "commander";
import { connectPublisher } from "../shared/publish/connect-publisher.ts";
import { createLog } from "../shared/runtime/log.ts";
import { numberArgument } from "../test/support/number-argument.ts";
import { type RealStack, startRealStack } from "../test/support/real-stack.ts";
import { startService } from "../test/support/service-process.ts";
import { measureEndToEnd } from "./end-to-end.ts";
import { createFigures, median, percentile } from "./figures.ts";
import { holdSubscription } from "./held-subscription.ts";
import { openProbes } from "./latency.ts";
import { withOwnTopics } from "./own-topics.ts";
import { fillBacklog } from "./prefill.ts";
import { evenly, halfOnOne, type Users } from "./updates.ts";

const count = numberArgument(1, 999_999_999);
const options = new Command("npm run bench:hot --")
  .description("Measures throughput and latency with half of all traffic on one user, beside none.")
  .option("--json <file>", "write every figure with its unit to a file")
  .option("--updates <n>", "updates in each backlog", count, 200_000)
  .option("--users <n>", "users that they are spread over", count, 100_000)
  .option("--live <n>", "live updates a second", count, 1_000)
  .option("--rounds <n>", "measurements of each kind", numberArgument(1, 20), 3)
  .option("--partitions <n>", "partitions of each topic", count, 4)
  .addOption(new Option("--only <part>", "one of the two parts").choices(["backlog", "live"]))
  .parse()
  .opts<{
    json?: string;
    updates: number;
    users: number;
    live: number;
    rounds: number;
    partitions: number;
    only?: "backlog" | "live";
  }>();

const KINDS = ["uniform", "hot"] as const;
type Kind = (typeof KINDS)[number];

const WARM_UP_MS = 10_000;
/** Short and many, so that what else happens on the machine meets both kinds. */
const LIVE_MS = 5_000;
const LIVE_ROUNDS = 4;

const figures = createFigures();
const stack = await startRealStack({ partitions: options.partitions, tuning: "full", report: console.log });
try {
  if (options.only !== "live") await measureBacklogs();
  if (options.only !== "backlog") await measureLive(await inNamespace("live"));
} finally {
  await stack.close();
}
console.log();
figures.print();
if (options.json !== undefined) figures.writeJson(options.json);

/** Each kind once to warm up (`drains.ts` says why), then all rounds, each by a subscription of its own. */
async function measureBacklogs(): Promise<void> {
  const names = ["warm-up", ...Array.from({ length: options.rounds }, (_, n) => `round-${n + 1}`)];
  const backlogs = { uniform: await inNamespace("uniform"), hot: await inNamespace("hot") };
  const letGo = new Map<string, () => Promise<void>>();
  for (const kind of KINDS)
    for (const name of names)
      letGo.set(`${kind}-${name}`, await holdSubscription(backlogs[kind], `${kind}-${name}`));
  for (const kind of KINDS)
    await fillBacklog(backlogs[kind].environment, { updates: options.updates, userOf: usersOf(kind) });
  const measured: Record<Kind, { appliedPerSecond: number; cpuMicros: number; peakMemoryMb: number }[]> = {
    uniform: [],
    hot: [],
  };
  for (const name of names) {
    console.log(`applying both backlogs: ${name}`);
    for (const kind of KINDS) {
      const subscription = `${kind}-${name}`;
      const onConnected = letGo.get(subscription)!;
      const drained = await measureEndToEnd(backlogs[kind], subscription, options.updates, onConnected);
      console.log(`  ${kind}: ${Math.round(drained.appliedPerSecond)} updates/s`);
      if (name !== "warm-up") measured[kind].push(drained);
    }
  }
  const of = (kind: Kind, figure: keyof (typeof measured)[Kind][number]) =>
    measured[kind].map((each) => each[figure]);
  for (const kind of KINDS) {
    figures.add(`hot.backlog.${kind}.appliedPerSecond`, median(of(kind, "appliedPerSecond")), "updates/s");
    figures.add(`hot.backlog.${kind}.cpuMicros`, median(of(kind, "cpuMicros")), "us/update");
    figures.add(`hot.backlog.${kind}.peakMemory`, median(of(kind, "peakMemoryMb")), "MB");
  }
  addRatios("hot.backlog.ratio", of("hot", "appliedPerSecond"), of("uniform", "appliedPerSecond"));
}

/** Publish to visible of users who have one update each, beside the traffic of either kind. */
async function measureLive(on: RealStack): Promise<void> {
  const service = await startService(on.environment, "/dev/null");
  const { PULSAR_URL: pulsarUrl, SQS_QUEUE_URL: sqsQueueUrl, REDIS_URL: redisUrl } = on.environment;
  Object.assign(process.env, on.environment);
  const publisher = await connectPublisher(
    { pulsarUrl: pulsarUrl!, sqsQueueUrl: sqsQueueUrl!, redisUrl: redisUrl! },
    createLog("bench", "error"),
  );
  const probes = await openProbes(on, publisher);
  const measured: Record<Kind, number[][]> = { uniform: [], hot: [] };
  try {
    console.log(`publishing live at ${options.live}/s`);
    for (const kind of KINDS) await probes.run(options.live, sleep(WARM_UP_MS), usersOf(kind));
    for (let round = 0; round < LIVE_ROUNDS * options.rounds; round += 1)
      for (const kind of KINDS)
        measured[kind].push(await probes.run(options.live, sleep(LIVE_MS), usersOf(kind)));
  } finally {
    await publisher.close();
    await probes.close();
    service.kill("SIGTERM");
    await service.exited;
  }
  figures.add("hot.live.updatesPerSecond", options.live, "updates/s");
  const p99Of = (kind: Kind) => measured[kind].map((latenciesMs) => percentile(latenciesMs, 0.99));
  for (const kind of KINDS) {
    figures.add(`hot.live.${kind}.p50`, percentile(measured[kind].flat(), 0.5), "ms");
    figures.add(`hot.live.${kind}.p99`, median(p99Of(kind)), "ms");
  }
  addRatios("hot.live.p99Ratio", p99Of("hot"), p99Of("uniform"));
}

/** Each with its neighbour in time. */
function addRatios(name: string, hot: readonly number[], uniform: readonly number[]): void {
  const ratios = hot.map((value, round) => value / uniform[round]!);
  console.log(`  ${name} of each round: ${ratios.map((ratio) => ratio.toFixed(2)).join(", ")}`);
  figures.add(name, median(ratios), "hot/uniform");
}

function usersOf(kind: Kind): Users {
  const users = evenly(options.users);
  return kind === "hot" ? halfOnOne(users) : users;
}

function inNamespace(name: string): Promise<RealStack> {
  return withOwnTopics(stack, `public/${name}`, options.partitions);
}
