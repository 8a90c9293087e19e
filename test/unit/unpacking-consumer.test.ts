import { expect, test } from "vitest";
import { createMemoryBroker } from "../../shared/adapters/memory/memory-broker.ts";
import {
  createUnpackingConsumer,
  type PackedConsumer,
  type Received,
} from "../../shared/adapters/unpacking-consumer.ts";
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
    broker.consumer({
      topic,
      subscription: "keyline",
      connections: 1,
      maxPrefetched: 1_000,
      holdsPacks: true,
    });
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

/** An adapter that has packs of five at hand, of a session that may end. */
function createAdapter(): { consumer: PackedConsumer; asked: number[]; session: { lost: boolean } } {
  const asked: number[] = [];
  const session = { lost: false };
  const messages = Array.from({ length: 5 }, (_, number) => ({ key: `${number}`, payload: "{}" }));
  const bytes = Buffer.from(packText(messages));
  const consumer: PackedConsumer = {
    async receive(maxMessages) {
      asked.push(maxMessages);
      const own = session;
      const received = (): Received => ({
        ...{ path: "pulsar", key: "group-0", payload: bytes.toString(), sizeBytes: bytes.length },
        ...{ bytes, publishTimeMs: 0, handle: undefined },
        get lost() {
          return own.lost;
        },
      });
      return Array.from({ length: Math.min(maxMessages, 20) }, received);
    },
    acknowledge: async () => {},
    connected: () => true,
    pause() {},
    close: async () => {},
  };
  return { consumer, asked, session };
}

test("the adapter is asked for as many packs as hold what was asked for", async () => {
  const { consumer, asked } = createAdapter();
  const unpacking = createUnpackingConsumer(consumer, { holdsPacks: true });
  const sizes = [];
  for (const maxMessages of [1, 100, 100, 3]) sizes.push((await unpacking.receive(maxMessages)).length);
  expect(sizes).toEqual([1, 4, 100, 3]);
  expect(asked).toEqual([1, 20, 1]);
});

test("what is left of a pack whose session is over is not delivered: it comes again", async () => {
  const { consumer, session } = createAdapter();
  const unpacking = createUnpackingConsumer(consumer, { holdsPacks: true });
  expect((await unpacking.receive(2)).map(({ key }) => key)).toEqual(["0", "1"]);
  session.lost = true;
  expect((await unpacking.receive(2)).map(({ key }) => key)).toEqual(["0", "1"]);
});

test("a topic that holds no packs is delivered as it stands", async () => {
  const { consumer } = createAdapter();
  const [received] = await createUnpackingConsumer(consumer, {}).receive(1);
  expect(received).toMatchObject({ key: "group-0" });
});
