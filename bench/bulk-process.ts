/** Publishes bulk updates as fast as it is let, a process of its own. Argument: how many. Tells what it took. */
import { setTimeout as sleep } from "node:timers/promises";
import { connectPublisher, PublishError, type Receipt } from "../shared/publish/connect-publisher.ts";
import { benchOperations } from "./updates.ts";

/** What a few requests of an import have under way together. */
const UNDER_WAY = 2_000;
const USERS = 100_000;

const updates = Number(process.argv[2]);
const publisher = await connectPublisher();
const startedAtMs = performance.now();
let number = 0;
const lane = async () => {
  while (number < updates) {
    const userId = `imported-${number % USERS}`;
    number += 1;
    const update = { tenant: "bench", userId, priority: "bulk" as const, ops: benchOperations(number) };
    await publisher.publish(update).catch(again);
  }
};
/** As an import does: until a path has it. */
async function again(error: unknown): Promise<Receipt> {
  if (!(error instanceof PublishError)) throw error;
  await sleep(1_000);
  return publisher.resend(error.update).catch(again);
}

await Promise.all(Array.from({ length: UNDER_WAY }, lane));
const seconds = (performance.now() - startedAtMs) / 1_000;
console.log(JSON.stringify({ perSecond: updates / seconds, ...publisher.counts().published }));
await publisher.close();
