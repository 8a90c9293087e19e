/**
 * `npm run bench:gateway`: what the gateway itself costs, at several batch sizes, beside a bare Fastify server that
 * parses the same requests and answers them; and how long a tenant waits while another one sends too much. The gateway's
 * publisher sends to an embedded broker, so that Pulsar is no part of it.
 */
import { Command, Option } from "commander";
import { numberArgument } from "../test/support/number-argument.ts";
import { createFigures, percentile } from "./figures.ts";
import { ADMIN_TOKEN, bodiesOf, load, serverOf, startServer } from "./gateway-load.ts";
import { measureNeighbours } from "./neighbours.ts";
import { cpuSeconds } from "./process-usage.ts";

const options = new Command("npm run bench:gateway --")
  .description("Measures the gateway beside a bare Fastify server.")
  .option("--json <file>", "write every figure with its unit to a file")
  .option("--seconds <n>", "for each measurement", numberArgument(1, 600), 8)
  .option("--rounds <n>", "measurements of a tenant alone and beside another", numberArgument(1, 20), 5)
  .addOption(new Option("--only <part>", "one of the two parts").choices(["costs", "neighbours"]))
  .parse()
  .opts<{ json?: string; seconds: number; rounds: number; only?: "costs" | "neighbours" }>();

const BATCHES = [1, 20, 100];
const WARM_UP_MS = 3_000;

type Measured = { eventsPerSecond: number; p99Ms: number; cpuMicros: number };

const figures = createFigures();
if (options.only !== "neighbours") await measureCosts();
if (options.only !== "costs") await measureTenants();
console.log();
figures.print();
if (options.json !== undefined) figures.writeJson(options.json);

async function measureCosts(): Promise<void> {
  for (const size of BATCHES) {
    const bodies = bodiesOf(size);
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
  const children = [startServer("gateway"), startServer("gateway")];
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

async function measure(kind: "bare" | "gateway", size: number, bodies: readonly Buffer[]): Promise<Measured> {
  const child = startServer(kind);
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
