/**
 * `npm run bench:gateway`: what the gateway itself costs, at several batch sizes, beside a bare Fastify server that
 * parses the same requests and answers them; and how long a tenant waits while another one sends too much. The gateway's
 * publisher sends to an embedded broker, so that Pulsar is no part of it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { Agent } from "node:http";
import { createInterface } from "node:readline";
import { Command, Option } from "commander";
import { numberArgument } from "../test/support/number-argument.ts";
import { createFigures, percentile } from "./figures.ts";
import { measureNeighbours } from "./neighbours.ts";
import { type MeasuredServer, postBatch } from "./post-batch.ts";
import { cpuSeconds } from "./process-usage.ts";
import { segmentBatch } from "./segment-batch.ts";

const options = new Command("npm run bench:gateway --")
  .description("Measures the gateway beside a bare Fastify server.")
  .option("--json <file>", "write every figure with its unit to a file")
  .option("--seconds <n>", "for each measurement", numberArgument(1, 600), 8)
  .option("--rounds <n>", "measurements of a tenant alone and beside another", numberArgument(1, 20), 5)
  .addOption(new Option("--only <part>", "one of the two parts").choices(["costs", "neighbours"]))
  .parse()
  .opts<{ json?: string; seconds: number; rounds: number; only?: "costs" | "neighbours" }>();

const BATCHES = [1, 20, 100];
const CONNECTIONS = 16;
const BODIES = 64;
const WARM_UP_MS = 3_000;
const ADMIN_TOKEN = "bench-token";

type Measured = { eventsPerSecond: number; p99Ms: number; cpuMicros: number };

const figures = createFigures();
if (options.only !== "neighbours") await measureCosts();
if (options.only !== "costs") await measureTenants();
console.log();
figures.print();
if (options.json !== undefined) figures.writeJson(options.json);

async function measureCosts(): Promise<void> {
  for (const size of BATCHES) {
    const bodies = Array.from({ length: BODIES }, (_, n) => segmentBatch(size, n));
    const bare = await measure("bare", size, bodies);
    const gateway = await measure("gateway", size, bodies);
    for (const [name, { eventsPerSecond, p99Ms, cpuMicros }] of Object.entries({ bare, gateway })) {
      figures.add(`gateway.batch${size}.${name}.requestsPerSecond`, eventsPerSecond / size, "requests/s");
      figures.add(`gateway.batch${size}.${name}.eventsPerSecond`, eventsPerSecond, "events/s");
      figures.add(`gateway.batch${size}.${name}.p99`, p99Ms, "ms");
      figures.add(`gateway.batch${size}.${name}.cpuMicros`, cpuMicros, "us/event");
    }
    figures.add(`gateway.batch${size}.ratio`, gateway.eventsPerSecond / bare.eventsPerSecond, "gateway/bare");
  }
}

/** A tenant beside one that sends too much. */
async function measureTenants(): Promise<void> {
  const children = [start("gateway"), start("gateway")];
  try {
    const [measured, other] = await Promise.all(children.map(serverOf));
    const pid = children[0]!.pid!;
    const gateways = { url: measured!.url, otherUrl: other!.url, cpuSeconds: () => cpuSeconds(pid) };
    const { rounds, seconds } = options;
    await measureNeighbours(gateways, { adminToken: ADMIN_TOKEN, rounds, forMs: seconds * 1_000 }, figures);
  } finally {
    for (const child of children) child.kill("SIGKILL");
  }
}

function start(kind: "bare" | "gateway"): ChildProcess {
  return spawn(process.execPath, ["bench/gateway-process.ts", kind, ADMIN_TOKEN], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

async function measure(kind: "bare" | "gateway", size: number, bodies: readonly Buffer[]): Promise<Measured> {
  const child = start(kind);
  try {
    const server = await serverOf(child);
    await load(server, bodies, WARM_UP_MS);
    const startedCpu = cpuSeconds(child.pid!);
    const startedAtMs = performance.now();
    const latenciesMs = await load(server, bodies, options.seconds * 1_000);
    const seconds = (performance.now() - startedAtMs) / 1_000;
    const events = latenciesMs.length * size;
    return {
      eventsPerSecond: events / seconds,
      p99Ms: percentile(
        latenciesMs.toSorted((a, b) => a - b),
        0.99,
      ),
      cpuMicros: ((cpuSeconds(child.pid!) - startedCpu) / events) * 1e6,
    };
  } finally {
    child.kill("SIGKILL");
  }
}

async function serverOf(child: ChildProcess): Promise<MeasuredServer> {
  for await (const line of createInterface(child.stdout!)) return JSON.parse(line) as MeasuredServer;
  throw new Error("the server ended before it listened");
}

/** As fast as it answers, over some connections. @returns how long each answer took, in ms. */
async function load(server: MeasuredServer, bodies: readonly Buffer[], forMs: number): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const endsAtMs = performance.now() + forMs;
  const latenciesMs: number[] = [];
  const lane = async (first: number) => {
    for (let n = first; performance.now() < endsAtMs; n += 1) {
      const startedAtMs = performance.now();
      const status = await postBatch(server, { agent, body: bodies[n % bodies.length]! });
      if (status !== 200) throw new Error(`answered ${status}`);
      latenciesMs.push(performance.now() - startedAtMs);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, (_, n) => lane(n * 7)));
  agent.destroy();
  return latenciesMs;
}
