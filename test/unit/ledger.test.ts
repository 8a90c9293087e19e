import { expect, test } from "vitest";
import { startEmbeddedConsumer } from "../support/embedded-consumer.ts";
import { compareLedger, identityOf } from "../support/read-ledger.ts";
import { until } from "../support/until.ts";

test("after an outage the ledger holds every update, and each counts once", async () => {
  const { broker, consumer, metrics, publisher, topics, routeIs, close } = await startEmbeddedConsumer();
  const acknowledged = new Set<string>();
  const publish = async (n: number) => {
    const userId = `u${n % 50}`;
    const receipt = await publisher.user("shop", userId).increment({ n: 1 });
    acknowledged.add(identityOf({ userId, ...receipt }));
    return receipt.path;
  };
  const publishMany = (count: number) => Promise.all(Array.from({ length: count }, (_, n) => publish(n)));
  const completed = () => metrics.completionCounts("ledger").completed;

  await publishMany(200);
  broker.break();
  await routeIs("sqs");
  expect(new Set(await publishMany(500))).toEqual(new Set(["sqs"]));
  await until("all over SQS is kept", () => metrics.keptCount() >= 500);
  expect(completed()).toBe(0);

  broker.heal();
  await routeIs("pulsar");
  await until("all of it is completed", () => completed() >= 500);
  expect(await compareLedger(broker, topics.updates, acknowledged)).toMatchObject({
    ...{ missing: [], unexpected: [] },
  });
  await until("all is settled", () => consumer.flow.counts().messages === 0);
  const { pulsar, sqs } = metrics.counted();
  expect([acknowledged.size, pulsar + sqs]).toEqual([700, 700]);
  await close();
});
