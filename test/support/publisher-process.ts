/**
 * A publisher as a process of its own: publishes seeded updates at a steady rate and writes each one that was
 * acknowledged, as the envelope that was sent, to a file. Arguments as JSON; progress on standard output.
 */

import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { connectPublisher, PublishError, type Update } from "../../shared/publish/connect-publisher.ts";
import { seededOperations, seededRandom } from "./seeded-updates.ts";

export type PublisherTask = {
  seed: number;
  updates: number;
  users: number;
  perSecond: number;
  /** NDJSON of acknowledged updates. */
  outputFile: string;
};

const MAX_UNDER_WAY = 2_000;

const task = JSON.parse(process.argv[2]!) as PublisherTask;
const random = seededRandom(task.seed);
const publisher = await connectPublisher();
const output = createWriteStream(task.outputFile);
const startedAtMs = Date.now();
const underWay = new Set<Promise<void>>();
const latenciesMs: number[] = [];

for (let sent = 0; sent < task.updates; sent += 1) {
  const dueMs = startedAtMs + (sent * 1000) / task.perSecond;
  await sleep(Math.max(0, dueMs - Date.now()));
  while (underWay.size >= MAX_UNDER_WAY) await Promise.race(underWay);
  const publishing = publish(sent);
  underWay.add(publishing);
  void publishing.finally(() => underWay.delete(publishing));
  if (sent % 500 === 0) console.log(JSON.stringify({ sent }));
}
await Promise.all(underWay);
output.end();
await once(output, "finish");
const { published } = publisher.counts();
await publisher.close();
latenciesMs.sort((a, b) => a - b);
const p99 = latenciesMs[Math.floor(latenciesMs.length * 0.99)];
console.log(JSON.stringify({ done: true, published, p99Ms: p99, longestMs: latenciesMs.at(-1) }));

async function publish(number: number): Promise<void> {
  const input = {
    tenant: "chaos",
    userId: `user-${Math.floor(random() * task.users)}`,
    ops: seededOperations(random),
    at: startedAtMs + number,
  };
  const beganMs = Date.now();
  const { src, seq, stamp } = await publisher.publish(input).catch(resendUntilTaken);
  latenciesMs.push(Date.now() - beganMs);
  const update: Update = { v: 1, src, seq, stamp, ...input };
  output.write(`${JSON.stringify(update)}\n`);
}

async function resendUntilTaken(error: unknown): Promise<{ src: string; seq: number; stamp: number }> {
  if (!(error instanceof PublishError)) throw error;
  return publisher.resend(error.update).catch(resendUntilTaken);
}
