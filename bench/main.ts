/**
 * `npm run bench`: the whole path on real servers of this machine, each figure beside the raw drain rate of
 * the same client in the same run. `--json FILE` writes every figure with its unit under a stable name.
 */
import { Option } from "commander";
import { loadNativeLibrary } from "../shared/adapters/pulsar-native/native-library.ts";
import { type ConnectedPublisher, connectPublisher } from "../shared/publish/connect-publisher.ts";
import { toError } from "../shared/runtime/errors.ts";
import { createLog } from "../shared/runtime/log.ts";
import { numberArgument } from "../test/support/number-argument.ts";
import { type RealStack, startRealStack } from "../test/support/real-stack.ts";
import { type ServiceProcess, startService } from "../test/support/service-process.ts";
import { type BacklogOptions, backlogCommand } from "./backlog-options.ts";
import { measureChurn } from "./churn.ts";
import { measureDrains } from "./drains.ts";
import { measureFailover } from "./failover.ts";
import { createFigures, type Figures } from "./figures.ts";
import { measureLatency, openProbes, type Probes } from "./latency.ts";
import { measureTicks } from "./ticks.ts";

const command = backlogCommand(
  "bench",
  "Measures throughput, latency and failover on real servers of this machine.",
  { updates: 200_000, users: 100_000 },
)
  .option("--single", "publish each update as a message by itself, not in packs", false)
  .option("--rounds <n>", "how often the backlog is drained each way, in turn", numberArgument(1, 100), 3)
  .addOption(
    new Option("--only <part>", "how fast a backlog drains, or the latency at 2,000 updates/s").choices([
      "drain",
      "latency",
    ]),
  )
  .addOption(
    new Option("--transport <client>", "Pulsar's client, of the service and of the raw drain")
      .choices(["websocket", "native"])
      .default("websocket"),
  )
  .parse();
const options = command.opts<
  BacklogOptions & {
    single: boolean;
    rounds: number;
    only?: "drain" | "latency";
    transport: "websocket" | "native";
  }
>();
if (options.transport === "native") {
  await loadNativeLibrary().catch((thrown: unknown) => command.error(`error: ${toError(thrown).message}`));
}

/** The subscription that nobody is connected to while the backlog arrives. */
const AWAY = "away";

const STEADY_PER_SECOND = 2_000;

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
    await live(stack, ({ probes }) => measureSteadyLatency(probes, figures));
  } else {
    const { publishedPerSecond, appliedPerSecond } = await measureDrains(
      stack,
      { ...options, away: AWAY },
      figures,
    );
    // Live traffic is published on these cores as well, so this is what both together can do at most.
    const capacity = 1 / (1 / publishedPerSecond + 1 / appliedPerSecond);
    if (options.only === undefined) await live(stack, (parts) => measureLive(parts, capacity / 2, figures));
  }
} finally {
  await stack.close();
}
console.log();
figures.print();
if (options.json !== undefined) figures.writeJson(options.json);

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
 * Live traffic: latency at a fixed rate, and at half of what can be done; then the broker is frozen under load; then
 * consumers come and go. Live updates take other ways through the broker than a backlog, which Java compiles when they
 * come: until it has, the broker falls behind at the higher rate, and what is measured then is the way back from that.
 */
async function measureLive(
  { on, services, startOne, publisher, probes }: Live,
  perSecond: number,
  into: Figures,
): Promise<void> {
  await measureSteadyLatency(probes, into);
  console.log(`publishing live at ${Math.round(perSecond)}/s`);
  await measureLatency(probes, { name: "latency", perSecond: Math.round(perSecond) }, into);
  console.log("letting memberships end by time alone");
  await measureTicks(on, publisher, into);
  console.log("freezing the broker under load");
  await measureFailover(on, publisher, services[0]!.adminUrl, into);
  console.log("letting consumers come and go");
  services.push(await startOne());
  await measureChurn(probes, services, startOne, into);
}

async function measureSteadyLatency(probes: Probes, into: Figures): Promise<void> {
  console.log(`publishing live at ${STEADY_PER_SECOND}/s`);
  await measureLatency(probes, { name: "latency2000", perSecond: STEADY_PER_SECOND }, into);
}
