/**
 * `npm run bench`: the whole path on real servers of this machine, each figure beside the raw drain rate of
 * the same client in the same run. `--json FILE` writes every figure with its unit under a stable name.
 */
import { Command, Option } from "commander";
import { loadNativeLibrary } from "../shared/adapters/pulsar-native/native-library.ts";
import { type ConnectedPublisher, connectPublisher } from "../shared/publish/connect-publisher.ts";
import { toError } from "../shared/runtime/errors.ts";
import { createLog } from "../shared/runtime/log.ts";
import { numberArgument } from "../test/support/number-argument.ts";
import { type RealStack, startRealStack } from "../test/support/real-stack.ts";
import { type ServiceProcess, startService } from "../test/support/service-process.ts";
import { measureChurn } from "./churn.ts";
import { define, shop } from "./definitions.ts";
import { measureEndToEnd, measureRawDrain } from "./end-to-end.ts";
import { measureFailover } from "./failover.ts";
import { createFigures, type Figures } from "./figures.ts";
import { holdSubscription } from "./held-subscription.ts";
import { measureLatency, openProbes, type Probes } from "./latency.ts";
import { prefill } from "./prefill.ts";
import { redisBytesPerUser } from "./redis-bytes.ts";
import { measureTicks } from "./ticks.ts";
import { evenly } from "./updates.ts";
import { openUpdatesTopic, untilConnected } from "./updates-topic.ts";

const count = numberArgument(1, 999_999_999);
const command = new Command("npm run bench --")
  .description("Measures throughput, latency and failover on real servers of this machine.")
  .option("--json <file>", "write every figure with its unit to a file")
  .option("--updates <n>", "updates in the backlog", count, 200_000)
  .option("--users <n>", "users that they are spread over", count, 100_000)
  .option("--partitions <n>", "partitions of the topic", count, 4)
  .addOption(
    new Option("--only <part>", "the latency at 2,000 updates/s, without the rest").choices(["latency"]),
  )
  .addOption(
    new Option("--transport <client>", "Pulsar's client, of the service and of the raw drain")
      .choices(["websocket", "native"])
      .default("websocket"),
  )
  .parse();
const options = command.opts<{
  json?: string;
  updates: number;
  users: number;
  partitions: number;
  only?: "latency";
  transport: "websocket" | "native";
}>();
if (options.transport === "native") {
  await loadNativeLibrary().catch((thrown: unknown) => command.error(`error: ${toError(thrown).message}`));
}

/** Each drains the same backlog by a subscription of its own. */
const RUNS = [
  "raw-warm-up",
  "warm-up-1",
  "warm-up-2",
  "raw-before",
  "applied",
  "defined",
  "raw-after",
] as const;
/** The subscription that nobody is connected to while the backlog arrives. */
const AWAY = "away";

const STEADY_PER_SECOND = 2_000;
const WARM_UP_MS = 5_000;
/** Of a broker that has just started. */
const FIRST_WARM_UP_MS = 30_000;

const figures = createFigures();
const stack = await startRealStack({
  partitions: options.partitions,
  transport: options.transport,
  tuning: "full",
  report: console.log,
});
try {
  if (options.only === "latency") {
    await stack.subscribe(AWAY);
    await live(stack, ({ probes }) => measureSteadyLatency(probes, FIRST_WARM_UP_MS));
  } else {
    const { publishedPerSecond, appliedPerSecond } = await measureThroughput(stack, figures);
    // Live traffic is published on these cores as well, so this is what both together can do at most.
    const capacity = 1 / (1 / publishedPerSecond + 1 / appliedPerSecond);
    await live(stack, (parts) => measureLive(parts, capacity / 2, figures));
  }
} finally {
  await stack.close();
}
console.log();
figures.print();
if (options.json !== undefined) figures.writeJson(options.json);

/**
 * The same backlog several times: raw and applied to warm up (a Java broker compiles itself for minutes), then
 * raw, applied, raw again, because the machine's speed drifts. All of them are served from the broker's memory,
 * as a service is that was connected when the messages arrived (as long as they fit: 256 MB, ten minutes). Last,
 * applied for a service that was away, which the broker reads from its bookie.
 */
async function measureThroughput(
  on: RealStack,
  into: Figures,
): Promise<{ publishedPerSecond: number; appliedPerSecond: number }> {
  const { updates } = options;
  type Run = (typeof RUNS)[number];
  const letGo = new Map<Run, () => Promise<void>>();
  for (const run of RUNS) letGo.set(run, await holdSubscription(on, run));
  await on.subscribe(AWAY);
  const publishedPerSecond = await fillBacklog(on, into);
  const raw = (run: Run) => measureRawDrain(on, run, updates, letGo.get(run)!);
  const applied = (run: Run) => measureEndToEnd(on, run, updates, letGo.get(run)!);
  console.log("warming up");
  await raw("raw-warm-up");
  await applied("warm-up-1");
  await applied("warm-up-2");
  console.log("draining raw, applying, draining raw again");
  const before = await raw("raw-before");
  const { appliedPerSecond, cpuMicros, peakMemoryMb } = await applied("applied");
  console.log("applying with 20 attributes and 50 audiences");
  await define(on.environment.REDIS_URL!, "defined:", "bench", shop);
  const defined = await applied("defined");
  const after = await raw("raw-after");
  console.log("applying what came while nobody was connected");
  const catchUp = await measureEndToEnd(on, AWAY, updates, async () => {});
  const rawPerSecond = (before.perSecond + after.perSecond) / 2;
  into.add("endToEnd.appliedPerSecond", appliedPerSecond, "updates/s");
  into.add("endToEnd.cpuMicros", cpuMicros, "us/update");
  into.add("endToEnd.peakMemory", peakMemoryMb, "MB");
  into.add("endToEnd.rawPerSecondBefore", before.perSecond, "messages/s");
  into.add("endToEnd.rawPerSecondAfter", after.perSecond, "messages/s");
  into.add("endToEnd.rawPerSecond", rawPerSecond, "messages/s");
  into.add("endToEnd.rawCpuMicros", (before.cpuMicros + after.cpuMicros) / 2, "us/message");
  into.add("endToEnd.ratio", appliedPerSecond / rawPerSecond, "applied/raw");
  into.add("defined.appliedPerSecond", defined.appliedPerSecond, "updates/s");
  into.add("defined.cpuMicros", defined.cpuMicros, "us/update");
  into.add("defined.ratio", defined.appliedPerSecond / appliedPerSecond, "defined/applied");
  into.add("defined.redisBytesPerUser", await redisBytesPerUser(on.environment.REDIS_URL!), "bytes");
  into.add("catchUp.appliedPerSecond", catchUp.appliedPerSecond, "updates/s");
  return { publishedPerSecond, appliedPerSecond };
}

async function fillBacklog(on: RealStack, into: Figures): Promise<number> {
  const { updates, users } = options;
  const { queue, topic } = await openUpdatesTopic(on.environment);
  const producer = queue.producer({ topic, sendTimeoutMs: 60_000, maxPending: 10_000 });
  await untilConnected(producer);
  console.log(`publishing ${updates} updates`);
  const filled = await prefill(producer, { updates, userOf: evenly(users) });
  await queue.close();
  into.add("prefill.meanSize", filled.meanBytes, "bytes");
  into.add("prefill.publishedPerSecond", filled.perSecond, "updates/s");
  return filled.perSecond;
}

type Live = {
  on: RealStack;
  services: ServiceProcess[];
  startOne(): Promise<ServiceProcess>;
  publisher: ConnectedPublisher;
  probes: Probes;
};

/** Starts a service, and what publishes to it in this process. */
async function live(on: RealStack, measureAll: (parts: Live) => Promise<void>): Promise<void> {
  const startOne = () => startService({ ...on.environment, PULSAR_SUBSCRIPTION: AWAY }, "/dev/null");
  const services = [await startOne()];
  const { PULSAR_URL: pulsarUrl, SQS_QUEUE_URL: sqsQueueUrl, REDIS_URL: redisUrl } = on.environment;
  Object.assign(process.env, on.environment);
  const publisher = await connectPublisher(
    { pulsarUrl: pulsarUrl!, sqsQueueUrl: sqsQueueUrl!, redisUrl: redisUrl! },
    createLog("bench", "error"),
  );
  const probes = await openProbes(on, publisher);
  try {
    await measureAll({ on, services, startOne, publisher, probes });
  } finally {
    await publisher.close();
    await probes.close();
    for (const service of services) service.kill("SIGTERM");
    await Promise.all(services.map(({ exited }) => exited));
  }
}

/**
 * Live traffic: latency at half of what can be done, and at a fixed rate; then the broker is frozen under load; then
 * consumers come and go.
 */
async function measureLive(
  { on, services, startOne, publisher, probes }: Live,
  perSecond: number,
  into: Figures,
): Promise<void> {
  console.log(`publishing live at ${Math.round(perSecond)}/s`);
  const half = { name: "latency", perSecond: Math.round(perSecond), warmUpMs: WARM_UP_MS };
  await measureLatency(probes, half, into);
  await measureSteadyLatency(probes, WARM_UP_MS);
  console.log("letting memberships end by time alone");
  await measureTicks(on, publisher, into);
  console.log("freezing the broker under load");
  await measureFailover(on, publisher, services[0]!.adminUrl, into);
  console.log("letting consumers come and go");
  services.push(await startOne());
  await measureChurn(probes, services, startOne, into);
}

async function measureSteadyLatency(probes: Probes, warmUpMs: number): Promise<void> {
  console.log(`publishing live at ${STEADY_PER_SECOND}/s`);
  await measureLatency(probes, { name: "latency2000", perSecond: STEADY_PER_SECOND, warmUpMs }, figures);
}
