/**
 * `npm run bench:gateway`: what the gateway itself costs, at several batch sizes, beside a bare Fastify server that
 * parses the same requests and answers them. Its publisher sends to an embedded broker, so that Pulsar is no part of it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { Agent, request } from "node:http";
import { createInterface } from "node:readline";
import { Command } from "commander";
import { numberArgument } from "../test/support/number-argument.ts";
import { createFigures, percentile } from "./figures.ts";
import { cpuSeconds } from "./process-usage.ts";

const options = new Command("npm run bench:gateway --")
  .description("Measures the gateway beside a bare Fastify server.")
  .option("--json <file>", "write every figure with its unit to a file")
  .option("--seconds <n>", "for each measurement", numberArgument(1, 600), 8)
  .parse()
  .opts<{ json?: string; seconds: number }>();

const BATCHES = [1, 20, 100];
const CONNECTIONS = 16;
const BODIES = 64;
const WARM_UP_MS = 3_000;

type Server = { url: string; writeKey: string };
type Measured = { eventsPerSecond: number; p99Ms: number; cpuMicros: number };

const figures = createFigures();
for (const size of BATCHES) {
  const bodies = Array.from({ length: BODIES }, (_, n) => bodyOf(size, n));
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
console.log();
figures.print();
if (options.json !== undefined) figures.writeJson(options.json);

/** A purchase as Segment's Node client sends it, of about 390 bytes. */
function bodyOf(size: number, n: number): Buffer {
  const batch = Array.from({ length: size }, (_, index) => ({
    type: "track",
    userId: `user-${(n * size + index) % 20_000}`,
    event: "order_completed",
    messageId: `node-next-1795950323300-${n}-${index}-0d9f1c0e`,
    timestamp: "2026-11-29T12:00:00.000Z",
    properties: { orderId: `order-${index}`, amount: 29.5, currency: "USD", channel: "web" },
    context: { library: { name: "@segment/analytics-node", version: "3.1.0" } },
    integrations: {},
    _metadata: { nodeVersion: "24.21.0", jsRuntime: "node" },
  }));
  return Buffer.from(JSON.stringify({ batch, sentAt: "2026-11-29T12:00:01.000Z" }));
}

async function measure(kind: "bare" | "gateway", size: number, bodies: readonly Buffer[]): Promise<Measured> {
  const child = spawn(process.execPath, ["bench/gateway-process.ts", kind], {
    stdio: ["ignore", "pipe", "inherit"],
  });
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

async function serverOf(child: ChildProcess): Promise<Server> {
  for await (const line of createInterface(child.stdout!)) return JSON.parse(line) as Server;
  throw new Error("the server ended before it listened");
}

/** As fast as it answers, over some connections. @returns how long each answer took, in ms. */
async function load(server: Server, bodies: readonly Buffer[], forMs: number): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const endsAtMs = performance.now() + forMs;
  const latenciesMs: number[] = [];
  const lane = async (first: number) => {
    for (let n = first; performance.now() < endsAtMs; n += 1) {
      const startedAtMs = performance.now();
      await post(server, agent, bodies[n % bodies.length]!);
      latenciesMs.push(performance.now() - startedAtMs);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, (_, n) => lane(n * 7)));
  agent.destroy();
  return latenciesMs;
}

function post({ url, writeKey }: Server, agent: Agent, body: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = {
      "content-type": "application/json",
      "content-length": body.length,
      authorization: `Basic ${Buffer.from(`${writeKey}:`).toString("base64")}`,
    };
    const outgoing = request(`${url}/v1/batch`, { method: "POST", agent, headers }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`answered ${response.statusCode}`));
      response.resume().once("end", resolve);
    });
    outgoing.once("error", reject);
    outgoing.end(body);
  });
}
