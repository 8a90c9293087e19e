/** A server that is measured, in a process of its own, and requests for it. */
import { type ChildProcess, spawn } from "node:child_process";
import { Agent } from "node:http";
import { createInterface } from "node:readline";
import { type MeasuredServer, postBatch } from "./post-batch.ts";
import { segmentBatch } from "./segment-batch.ts";

export const ADMIN_TOKEN = "bench-token";
const CONNECTIONS = 16;
const BODIES = 64;

/** Different batches of so many calls each. */
export function bodiesOf(size: number): Buffer[] {
  return Array.from({ length: BODIES }, (_, n) => segmentBatch(size, n));
}

/** @param nodeOptions of that process, such as `--cpu-prof`. */
export function startServer(kind: "bare" | "gateway", nodeOptions: readonly string[] = []): ChildProcess {
  return spawn(process.execPath, [...nodeOptions, "bench/gateway-process.ts", kind, ADMIN_TOKEN], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

export async function serverOf(child: ChildProcess): Promise<MeasuredServer> {
  for await (const line of createInterface(child.stdout!)) return JSON.parse(line) as MeasuredServer;
  throw new Error("the server ended before it listened");
}

/** As fast as it answers, over some connections. @returns how long each answer took, in ms. */
export async function load(
  server: MeasuredServer,
  bodies: readonly Buffer[],
  forMs: number,
): Promise<number[]> {
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
