/**
 * The SQS server of the embedded mode as a process of its own. Prints its endpoint. With a number as argument it
 * answers at most so many calls a second of each kind at each queue, as SQS does at a plain FIFO queue (300); those
 * that come faster wait.
 */
import { buildApp } from "fauxqs";
import { createPace } from "../shared/runtime/pace.ts";

const callsPerSecond = process.argv[2] === undefined ? undefined : Number(process.argv[2]);
const app = buildApp({ logger: false });
if (callsPerSecond !== undefined) {
  const paces = new Map<string, ReturnType<typeof createPace>>();
  const never = new AbortController().signal;
  app.addHook("preHandler", async ({ headers, body }) => {
    const { QueueUrl = "" } = (body ?? {}) as { QueueUrl?: string };
    const call = `${headers["x-amz-target"]} ${QueueUrl}`;
    const pace = paces.get(call) ?? createPace(() => callsPerSecond);
    paces.set(call, pace);
    await pace(never);
  });
}
console.log(await app.listen({ port: 0, host: "127.0.0.1" }));
