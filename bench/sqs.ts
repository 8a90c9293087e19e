/**
 * `npm run bench:sqs`: how fast the service applies what waits in SQS, beside the raw rate at which the same client
 * receives and deletes the same updates, from one queue and from several over which users are spread. On LocalStack;
 * on the embedded SQS server in a process of its own, which is quicker and so shows more of the service's own cost; and
 * on one that is as limited as plain FIFO queues are, which shows what several of them bring.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { Command, Option } from "commander";
import { numberArgument } from "../test/support/number-argument.ts";
import { startRealStack } from "../test/support/real-stack.ts";
import { createFigures, median } from "./figures.ts";
import { type Drain, type Drained, measureSqsDrain, type SqsServer } from "./sqs-drain.ts";

const count = numberArgument(1, 999_999_999);
const few = numberArgument(1, 20);
const SERVERS = ["localstack", "embedded", "limited"] as const;
/** Of each kind at each queue: what SQS takes at a plain FIFO queue. */
const CALLS_PER_SECOND = 300;
const options = new Command("npm run bench:sqs --")
  .description("Measures how fast updates that wait in SQS are applied, beside receiving and deleting them.")
  .option("--json <file>", "write every figure with its unit to a file")
  .option("--updates <n>", "updates in each backlog", count, 20_000)
  .option("--users <n>", "users that they are spread over", count, 10_000)
  .option("--queues <n,...>", "numbers of queues", (text) => text.split(",").map(few), [1, 2, 4])
  .option("--rounds <n>", "measurements of each kind", few, 3)
  .addOption(new Option("--server <name>", "one of the servers").choices(SERVERS))
  .parse()
  .opts<{
    json?: string;
    updates: number;
    users: number;
    queues: number[];
    rounds: number;
    server?: (typeof SERVERS)[number];
  }>();

/** In turn, because the machine's speed drifts. */
const ROUND = ["raw", "copied", "applied", "raw"] as const;

const figures = createFigures();
const stack = await startRealStack({ partitions: 4, tuning: "full", report: console.log });
const embedded = await startEmbedded();
const limited = await startEmbedded(String(CALLS_PER_SECOND));
const servers = {
  localstack: { endpoint: stack.urls.sqs, pid: stack.localStack().pid },
  embedded: embedded.server,
  limited: limited.server,
};
try {
  for (const name of options.server ? [options.server] : SERVERS) {
    console.log(`${name}: warming up`);
    await drain("applied", servers[name], 1);
    for (const queueCount of options.queues) await measure(name, queueCount);
  }
} finally {
  await embedded.stop();
  await limited.stop();
  await stack.close();
}
console.log();
figures.print();
if (options.json !== undefined) figures.writeJson(options.json);

async function measure(name: keyof typeof servers, queueCount: number): Promise<void> {
  const measured: Record<Drain, Drained[]> = { raw: [], copied: [], applied: [] };
  const ratios: number[] = [];
  const copiedRatios: number[] = [];
  for (let round = 1; round <= options.rounds; round += 1) {
    console.log(`${name}, queues: ${queueCount}, round ${round}`);
    const drained: Drained[] = [];
    for (const kind of ROUND) {
      const one = await drain(kind, servers[name], queueCount);
      console.log(`  ${kind}: ${Math.round(one.perSecond)}/s`);
      measured[kind].push(one);
      drained.push(one);
    }
    const [before, copied, applied, after] = drained.map(({ perSecond }) => perSecond);
    ratios.push(applied! / ((before! + after!) / 2));
    copiedRatios.push(applied! / copied!);
  }
  const prefix = `sqs.${name}.queues${queueCount}`;
  for (const [kind, drained] of Object.entries(measured)) {
    const of = (figure: keyof Drained) => median(drained.map((one) => one[figure]));
    figures.add(`${prefix}.${kind}PerSecond`, of("perSecond"), "updates/s");
    figures.add(`${prefix}.${kind}CpuMicros`, of("cpuMicros"), "us/update");
    figures.add(`${prefix}.${kind}ServerCpuMicros`, of("serverCpuMicros"), "us/update");
  }
  figures.add(`${prefix}.ratio`, median(ratios), "applied/raw");
  figures.add(`${prefix}.copiedRatio`, median(copiedRatios), "applied/copied");
}

function drain(kind: Drain, server: SqsServer, queueCount: number): Promise<Drained> {
  const { updates, users } = options;
  return measureSqsDrain(kind, server, stack.environment, { updates, users, queueCount });
}

async function startEmbedded(...limit: string[]): Promise<{ server: SqsServer; stop(): Promise<void> }> {
  const child = spawn(process.execPath, ["bench/embedded-sqs-process.ts", ...limit], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [endpoint] = (await once(createInterface(child.stdout), "line")) as [string];
  return {
    server: { endpoint, pid: child.pid! },
    async stop() {
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}
