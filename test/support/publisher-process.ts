/**
 * A publisher as a process of its own: publishes seeded updates at a steady rate and writes each one that was
 * acknowledged, as the envelope that was sent, to a file. Arguments as JSON; progress on standard output.
 * SIGTERM ends it early, once all that it has begun is acknowledged.
 */

import { openSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import {
  connectPublisher,
  PublishError,
  type Receipt,
  type Update,
} from "../../shared/publish/connect-publisher.ts";
import { seededOperations, seededRandom } from "./seeded-updates.ts";

export type PublisherTask = {
  seed: number;
  updates: number;
  users: number;
  perSecond: number;
  /** So many of them go out before the others, at a rate of their own; the others' time begins when they are out. */
  ahead?: { updates: number; perSecond: number };
  /** NDJSON of acknowledged updates. */
  outputFile: string;
  /** When given, each update is marked, and what happens to it before its acknowledgement is written too. */
  journal?: {
    /** NDJSON of JournalLines. */
    file: string;
    /** Starts the marks of this incarnation; no other has the same. */
    name: string;
  };
};

/**
 * `intent`: written before the update is sent, so that of a publisher that is killed it is known what may have
 * been sent. `failed`: neither path took it in time, so it may have happened; it is sent again.
 */
export type JournalLine = { intent: Intent } | { failed: string };

/** An update before it has an identity. Its mark is a member of the set `marks`, and so stands in the profile. */
export type Intent = Pick<Update, "userId" | "at" | "ops"> & { mark: string };

const MAX_UNDER_WAY = 2_000;
/** With a journal, one in so many updates is bulk. */
const BULK_EVERY = 6;

const task = JSON.parse(process.argv[2]!) as PublisherTask;
const random = seededRandom(task.seed);
let ending = false;
process.on("SIGTERM", () => {
  ending = true;
});
const publisher = await connectPublisher();
// Written at once, not by a stream: a SIGKILL loses nothing of it.
const output = openSync(task.outputFile, "a");
const journal = task.journal && { ...task.journal, descriptor: openSync(task.journal.file, "a") };
const startedAtMs = Date.now();
const { ahead = { updates: 0, perSecond: 1 } } = task;
const startedMs = performance.now();
let steadySinceMs = startedMs;
const underWay = new Set<Promise<void>>();
const latenciesMs: number[] = [];

for (let sent = 0; sent < task.updates && !ending; sent += 1) {
  if (sent === ahead.updates) steadySinceMs = performance.now();
  await sleep(Math.max(0, dueMs(sent) - performance.now()));
  while (underWay.size >= MAX_UNDER_WAY) await Promise.race(underWay);
  const publishing = publish(sent);
  underWay.add(publishing);
  void publishing.finally(() => underWay.delete(publishing));
  if (sent % 100 === 0) console.log(JSON.stringify({ sent }));
}
await Promise.all(underWay);
const { published } = publisher.counts();
await publisher.close();
latenciesMs.sort((a, b) => a - b);
const p99 = latenciesMs[Math.floor(latenciesMs.length * 0.99)];
console.log(JSON.stringify({ done: true, published, p99Ms: p99, longestMs: latenciesMs.at(-1) }));

function dueMs(sent: number): number {
  if (sent < ahead.updates) return startedMs + (sent * 1000) / ahead.perSecond;
  return steadySinceMs + ((sent - ahead.updates) * 1000) / task.perSecond;
}

async function publish(number: number): Promise<void> {
  const userId = `user-${Math.floor(random() * task.users)}`;
  const input = {
    tenant: "chaos",
    userId,
    ops: seededOperations(random),
    at: journal ? Date.now() : startedAtMs + number,
    ...(journal && number % BULK_EVERY === 0 && { priority: "bulk" as const }),
  };
  const mark = `${journal?.name}-${number}`;
  if (journal) {
    input.ops.push({ kind: "add", body: { marks: [mark] } });
    note({ intent: { mark, userId, at: input.at, ops: input.ops } });
  }
  const beganMs = performance.now();
  const { src, seq, stamp } = await publisher.publish(input).catch((error) => resendUntilTaken(error, mark));
  latenciesMs.push(performance.now() - beganMs);
  const update: Update = { v: 1, src, seq, stamp, ...input };
  writeSync(output, `${JSON.stringify(update)}\n`);
}

async function resendUntilTaken(error: unknown, mark: string): Promise<Receipt> {
  if (!(error instanceof PublishError)) throw error;
  note({ failed: mark });
  return publisher.resend(error.update).catch((again) => resendUntilTaken(again, mark));
}

function note(line: JournalLine): void {
  if (journal) writeSync(journal.descriptor, `${JSON.stringify(line)}\n`);
}
