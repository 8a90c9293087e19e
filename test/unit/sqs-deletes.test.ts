import { expect, test } from "vitest";
import { createSqsConsumer } from "../../shared/adapters/sqs/sqs-consumer.ts";
import { encodePack } from "../../shared/adapters/sqs/sqs-pack.ts";
import { createPackProgress } from "../../shared/adapters/sqs/sqs-pack-progress.ts";
import type { SqsRequests } from "../../shared/adapters/sqs/sqs-requests.ts";
import type { Delivery } from "../../shared/ports/update-queue.ts";
import { until } from "../support/until.ts";

const messages = ["a", "b"].map((key) => ({ key, payload: "{}", deduplicationId: key }));

/** Requests to a queue of two packs, that come again until they are deleted; `refused` says which deletes SQS refuses. */
function queueOfPacks(refused: (deletes: number, messageId: string) => boolean) {
  const entry = encodePack(messages, undefined);
  const hidden = new Set<string>();
  const left = new Set(["first", "second"]);
  let deletes = 0;
  const requests: Partial<SqsRequests> = {
    async receive() {
      const visible = [...left].filter((id) => !hidden.has(id));
      for (const id of visible) hidden.add(id);
      if (visible.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      return visible.map((id) => ({
        ...{ MessageId: id, ReceiptHandle: id, Body: entry.MessageBody },
        MessageAttributes: entry.MessageAttributes,
      }));
    },
    async delete(handles) {
      deletes += 1;
      return handles.map((id) => {
        // What is not deleted is visible again some time.
        setTimeout(() => hidden.delete(id), 5);
        if (refused(deletes, id)) return { code: "InternalError", message: "", senderFault: false };
        left.delete(id);
        return undefined;
      });
    },
    changeVisibility: async (handles) => handles.map(() => undefined),
  };
  return { requests: requests as SqsRequests, left };
}

test("what could not be deleted is deleted when it comes again, and not applied again", async () => {
  const { requests, left } = queueOfPacks((deletes, id) => deletes <= 2 && id === "second");
  const options = {
    ...{ pollers: 1, longPollSeconds: 0, visibilityTimeoutSeconds: 30, maxConcurrentRequests: 4 },
    ...{ maxPrefetched: 100, maxUnacknowledged: 100, onError: () => {} },
  };
  const consumer = createSqsConsumer([requests], options, createPackProgress());
  const deliveries: Delivery[] = [];
  while (deliveries.length < 4) deliveries.push(...(await consumer.receive(4 - deliveries.length)));
  let more = 0;
  const others = (async () => {
    for (let next = await consumer.receive(100); next.length > 0; next = await consumer.receive(100))
      more += next.length;
  })();
  await consumer.acknowledge(deliveries);
  await until("all is deleted", () => left.size === 0, { everyMs: 1 });
  await consumer.close();
  await others;
  expect(more).toBe(0);
});
