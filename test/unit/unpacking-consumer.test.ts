import { expect, test } from "vitest";
import { createMemoryBroker } from "../../shared/adapters/memory/memory-broker.ts";
import { packText } from "../../shared/domain/pack.ts";
import type { Consumer, Delivery } from "../../shared/ports/update-queue.ts";

const topic = "persistent://public/default/packs";

async function sendPack(count: number) {
  const broker = createMemoryBroker({ partitions: 1 });
  const producer = broker.producer({ topic, sendTimeoutMs: 1_000, maxPending: 10 });
  const messages = Array.from({ length: count }, (_, number) => ({
    key: `${number}`,
    payload: `é${number}`,
  }));
  await producer.send({ key: "group-0", payload: packText(messages), deduplicationId: "1" });
  const open = () =>
    broker.consumer({ topic, subscription: "keyline", connections: 1, maxPrefetched: 1_000 });
  return { producer, open };
}

async function receive(consumer: Consumer, count: number): Promise<Delivery[]> {
  const received: Delivery[] = [];
  while (received.length < count) received.push(...(await consumer.receive(count - received.length)));
  return received;
}

test("no more at once than was asked for, whatever a pack holds", async () => {
  const { open } = await sendPack(10);
  const consumer = open();
  const sizes = [];
  for (const asked of [3, 3, 100]) sizes.push((await consumer.receive(asked)).length);
  expect(sizes).toEqual([3, 3, 4]);
});

test("each has its own key, size and position", async () => {
  const { open } = await sendPack(3);
  const received = await receive(open(), 3);
  expect(received.map(({ key, payload, sizeBytes }) => [key, payload, sizeBytes])).toEqual([
    ["0", "é0", 3],
    ["1", "é1", 3],
    ["2", "é2", 3],
  ]);
  expect(received.map(({ position }) => position)).toEqual(
    [0, 1, 2].map((batchIndex) => ({ partition: 0, ledgerId: 1, entryId: 0, batchIndex })),
  );
});

test("a pack comes again as long as one of it is not acknowledged, and no longer", async () => {
  const { open } = await sendPack(3);
  const first = open();
  const received = await receive(first, 3);
  await first.acknowledge([received[0]!, received[0]!, received[2]!]);
  await first.acknowledge([received[0]!]);
  await first.close();
  const second = open();
  const again = await receive(second, 3);
  expect(again.map(({ key }) => key)).toEqual(["0", "1", "2"]);
  await second.acknowledge(again);
  await second.close();
  const third = open();
  const nothing = third.receive(10);
  third.pause();
  expect(await nothing).toEqual([]);
});

test.each(["pause", "close"] as const)(
  "after a %s nothing comes of a pack that was received",
  async (end) => {
    const { open } = await sendPack(10);
    const consumer = open();
    await consumer.receive(2);
    await consumer[end]();
    expect(await consumer.receive(10)).toEqual([]);
  },
);

test("what only begins as a pack is delivered as it stands", async () => {
  const { producer, open } = await sendPack(1);
  await producer.send({ key: "foreign", payload: '[["a",7]]\nxyz', deduplicationId: "2" });
  const received = await receive(open(), 2);
  expect(received[1]).toMatchObject({ key: "foreign", payload: '[["a",7]]\nxyz' });
});
