import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import { openExistingQueues } from "../../shared/adapters/open.ts";
import { createLifecycle } from "../../shared/runtime/lifecycle.ts";
import { createLog } from "../../shared/runtime/log.ts";
import { until } from "../support/until.ts";

const log = createLog("test", "fatal");
const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  vi.unstubAllEnvs();
  for (const close of closing.splice(0).reverse()) await close();
});

/** An SQS that keeps every question; `answer` says to all of them that there is no such queue. */
async function startSqs() {
  const asked: string[] = [];
  const answers: (() => void)[] = [];
  const server = createServer(async (request, response) => {
    asked.push((JSON.parse(await bodyOf(request)) as { QueueUrl: string }).QueueUrl.split("/").at(-1)!);
    answers.push(() => {
      response.writeHead(400, { "content-type": "application/x-amz-json-1.0" });
      response.end(JSON.stringify({ __type: "com.amazonaws.sqs#QueueDoesNotExist", message: "none" }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  const answer = () => {
    for (const say of answers.splice(0)) say();
  };
  return { origin: `http://127.0.0.1:${port}`, asked, answer };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const chunk of request) body += chunk;
  return body;
}

function open(origin: string, sqsSendTimeoutMs: number) {
  vi.stubEnv("AWS_REGION", "eu-west-1");
  vi.stubEnv("AWS_ACCESS_KEY_ID", "a");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "b");
  const lifecycle = createLifecycle(log);
  const owned = vi.spyOn(lifecycle, "own");
  closing.push(lifecycle.close);
  const queue = (name: string) => ({
    ...{ sqsQueueUrl: `${origin}/000000000000/${name}.fifo`, sqsSendTimeoutMs },
    ...{ sqsPollers: 1, sqsLongPollSeconds: 0, sqsVisibilityTimeoutSeconds: 60, maxInFlightMessages: 1 },
  });
  const queues = {
    fallback: queue("updates"),
    ledgerQueue: queue("updates-ledger"),
    changesQueue: queue("updates-changes"),
  };
  return { opening: openExistingQueues(queues, lifecycle, log), owned };
}

test("all queues are asked for at once, and a missing one is refused with all owned", async () => {
  const { origin, asked, answer } = await startSqs();
  const { opening, owned } = open(origin, 20_000);
  const refused = expect(opening).rejects.toMatchObject({ code: "sqs_queue_missing" });
  await until("all are asked for", () => asked.length === 3, { everyMs: 5 });
  expect(asked.toSorted()).toEqual(["updates-changes.fifo", "updates-ledger.fifo", "updates.fifo"]);
  answer();
  await refused;
  expect(owned.mock.calls.map(([name]) => name)).toEqual(["fallback queue", "ledger queue", "changes queue"]);
});

test("where SQS does not answer they open all the same", async () => {
  const { origin } = await startSqs();
  const { fallback, ledgerQueue, changesQueue } = await open(origin, 100).opening;
  expect([fallback, ledgerQueue, changesQueue].map(({ description }) => description)).toEqual([
    `SQS FIFO at ${origin}/000000000000/updates.fifo`,
    `SQS FIFO at ${origin}/000000000000/updates-ledger.fifo`,
    `SQS FIFO at ${origin}/000000000000/updates-changes.fifo`,
  ]);
});
