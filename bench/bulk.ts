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

/** A Java broker compiles itself for minutes, and what bulk updates need only once there are some. */
const WARM_UP_MS = 30_000;
const WARM_UP_ROWS = 50_000;
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
  console.log(`warming up: live at ${options.live}/s, alone and beside ${WARM_UP_ROWS} bulk updates`);
  await probes.run(options.live, sleep(WARM_UP_MS));
  await probes.run(options.live, importAll(WARM_UP_ROWS));
  console.log(`live at ${options.live}/s, alone`);
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

/** Until the last of them is applied. Returns at which rate they were published. */
async function importAll(rows: number): Promise<{ publishedPerSecond: number }> {
  const importer = spawn(process.execPath, ["bench/bulk-process.ts", String(rows)], {
    env: { ...process.env, LOG_LEVEL: "error" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const { perSecond } = JSON.parse(await text(importer.stdout)) as { perSecond: number };
  await untilIdle();
  return { publishedPerSecond: perSecond };
}

async function importBeside({ run }: Probes): Promise<number[]> {
  const startedAtMs = performance.now();
  const imported = importAll(options.rows).then(({ publishedPerSecond }) => {
    const seconds = (performance.now() - startedAtMs) / 1_000;
    figures.add("bulk.publishedPerSecond", publishedPerSecond, "updates/s");
    figures.add("bulk.appliedPerSecond", options.rows / seconds, "updates/s");
  });
  return run(options.live, imported);
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
