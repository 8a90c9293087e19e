/** `npm run bench:bulk`: what a bulk import does to live updates, on real servers of this machine. */
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { connectPublisher } from "../shared/publish/connect-publisher.ts";
import { createLog } from "../shared/runtime/log.ts";
import { numberArgument } from "../test/support/number-argument.ts";
import { startRealStack } from "../test/support/real-stack.ts";
import { startService } from "../test/support/service-process.ts";
import { counted } from "./end-to-end.ts";
import { createFigures, percentile } from "./figures.ts";
import { openProbes, type Probes } from "./latency.ts";

const count = numberArgument(1, 999_999_999);
const options = new Command("npm run bench:bulk --")
  .description("Publish to visible of live updates without and during a bulk import, alternating.")
  .option("--rows <n>", "bulk updates", count, 1_000_000)
  .option("--live <n>", "live updates a second", count, 500)
  .option("--json <file>", "write every figure with its unit to a file")
  .parse()
  .opts<{ rows: number; live: number; json?: string }>();

const WARM_UP_MS = 10_000;
const ALONE_MS = 30_000;

const figures = createFigures();
const stack = await startRealStack({ partitions: 4, tuning: "full", report: console.log });
const service = await startService(stack.environment, "/dev/null");
const { PULSAR_URL: pulsarUrl, SQS_QUEUE_URL: sqsQueueUrl, REDIS_URL: redisUrl } = stack.environment;
Object.assign(process.env, stack.environment);
const publisher = await connectPublisher(
  { pulsarUrl: pulsarUrl!, sqsQueueUrl: sqsQueueUrl!, redisUrl: redisUrl! },
  createLog("bench", "error"),
);
const probes = await openProbes(stack, publisher);
try {
  console.log(`live at ${options.live}/s, alone`);
  await probes.run(options.live, sleep(WARM_UP_MS));
  const before = await probes.run(options.live, sleep(ALONE_MS));
  console.log(`live at ${options.live}/s, and ${options.rows} bulk updates`);
  const during = await importBeside(probes);
  console.log(`live at ${options.live}/s, alone again`);
  const after = await probes.run(options.live, sleep(ALONE_MS));
  figures.add("bulk.livePerSecond", options.live, "updates/s");
  for (const [name, latenciesMs] of Object.entries({ before, during, after })) {
    figures.add(`bulk.liveP50.${name}`, percentile(latenciesMs, 0.5), "ms");
    figures.add(`bulk.liveP99.${name}`, percentile(latenciesMs, 0.99), "ms");
  }
  const aloneP99 = (percentile(before, 0.99) + percentile(after, 0.99)) / 2;
  figures.add("bulk.liveP99.ratio", percentile(during, 0.99) / aloneP99, "during/alone");
} finally {
  await publisher.close();
  await probes.close();
  service.kill("SIGTERM");
  await service.exited;
  await stack.close();
}
figures.print();
if (options.json !== undefined) figures.writeJson(options.json);

/** From the import's start until its last update is applied. */
async function importBeside({ run }: Probes): Promise<number[]> {
  const startedAtMs = performance.now();
  const importer = spawn(process.execPath, ["bench/bulk-process.ts", String(options.rows)], {
    env: { ...process.env, LOG_LEVEL: "error" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const published = text(importer.stdout);
  const applied = published.then(async (told) => {
    const { perSecond } = JSON.parse(told) as { perSecond: number };
    figures.add("bulk.publishedPerSecond", perSecond, "updates/s");
    await untilIdle();
    figures.add(
      "bulk.appliedPerSecond",
      (options.rows / (performance.now() - startedAtMs)) * 1_000,
      "updates/s",
    );
  });
  return run(options.live, applied);
}

/** Nothing but live updates is counted any more. */
async function untilIdle(): Promise<void> {
  for (let before = await counted(service.adminUrl); ; ) {
    await sleep(1_000);
    const after = await counted(service.adminUrl);
    if (after.pulsar + after.sqs - before.pulsar - before.sqs < options.live * 1.5) return;
    before = after;
  }
}
