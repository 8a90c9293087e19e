import { expect, test } from "vitest";
import { createSqsPacks } from "../../shared/adapters/sqs/sqs-packs.ts";
import { createSqsProducer } from "../../shared/adapters/sqs/sqs-producer.ts";
import type { SqsRequests } from "../../shared/adapters/sqs/sqs-requests.ts";
import type { OutgoingMessage } from "../../shared/ports/update-queue.ts";
import { payloadOf } from "../../shared/publish/routed-send.ts";

/** The bodies and attributes that a producer of packs sends, in bytes as SQS counts them. */
async function sizesOf(messages: readonly OutgoingMessage[]): Promise<number[]> {
  const sizes: number[] = [];
  const requests: Partial<SqsRequests> = {
    async send(entries) {
      for (const { MessageBody, MessageAttributes } of entries) {
        const attributes = Object.entries(MessageAttributes).map(
          ([name, { DataType, StringValue }]) => name + DataType + StringValue,
        );
        sizes.push(Buffer.byteLength(MessageBody + attributes.join("")));
      }
      return entries.map(() => undefined);
    },
  };
  const bounds = {
    maxPending: 1_000,
    sendTimeoutMs: 5_000,
    maxBatchBytes: 262_144,
    maxConcurrentRequests: 4,
  };
  const producer = createSqsProducer([createSqsPacks(requests as SqsRequests, bounds)], bounds);
  await Promise.all(messages.map((message) => producer.send(message)));
  return sizes;
}

test.each([2, 3, 7, 100])(
  "of packs of %s none is a byte longer than SQS counts as one request",
  async (count) => {
    const longest = Math.ceil(65_536 / count);
    for (const key of ["user", '"\\"'.repeat(count < 10 ? 50 : 5), "\u0001".repeat(count < 10 ? 50 : 5)]) {
      for (let shorter = 0; shorter < 100; shorter += 10) {
        const message = { key, payload: "x".repeat(longest - shorter), deduplicationId: "" };
        const sizes = await sizesOf(Array.from({ length: count }, () => message));
        expect(Math.max(...sizes)).toBeLessThanOrEqual(65_536);
      }
    }
  },
);

test("packs of the users and texts that take most to escape are not too long for SQS", async () => {
  const userId = `${"\u0001".repeat(250)}\ufffe`;
  const payload = payloadOf({ userId, text: '"\\'.repeat(200) });
  const message = { key: `shop:${userId}`, payload, deduplicationId: "" };
  const sizes = await sizesOf(Array.from({ length: 100 }, () => message));
  expect(Math.max(...sizes)).toBeLessThan(262_144);
});
