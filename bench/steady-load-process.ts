/**
 * Sends batches at a steady rate, a process of its own: the next one leaves at its time, whether or not those before it
 * are answered, and whatever `Retry-After` says. Tells how long each answer took, by status.
 */
import { Agent } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { atRate } from "./latency.ts";
import { type MeasuredServer, postBatch } from "./post-batch.ts";
import { segmentBatch } from "./segment-batch.ts";

/** `forMs` is measured; it takes two seconds more. */
export type SteadyLoad = { server: MeasuredServer; size: number; requestsPerSecond: number; forMs: number };

/** Milliseconds of each answer, by its status. */
export type Answers = Record<string, number[]>;

const BODIES = 64;
/** Of this process, which compiles its code in that time. */
const WARM_UP_MS = 2_000;

const { server, size, requestsPerSecond, forMs } = JSON.parse(process.argv[2]!) as SteadyLoad;
const bodies = Array.from({ length: BODIES }, (_, n) => segmentBatch(size, n));
const agent = new Agent({ keepAlive: true });
const answers: Answers = {};
await atRate(requestsPerSecond, sleep(WARM_UP_MS + forMs), async (number, elapsedMs) => {
  const startedAtMs = performance.now();
  const status = await postBatch(server, { agent, body: bodies[number % BODIES]! });
  if (elapsedMs < WARM_UP_MS) return;
  const latencyMs = performance.now() - startedAtMs;
  const before = answers[status];
  if (before) before.push(latencyMs);
  else answers[status] = [latencyMs];
});
agent.destroy();
console.log(JSON.stringify(answers));
