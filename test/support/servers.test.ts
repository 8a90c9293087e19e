import { Cluster, Redis } from "ioredis";
import { expect, inject, test } from "vitest";
import WebSocket from "ws";
import { freePort } from "../../deploy/local/free-ports.ts";
import { createQueue, localSqsClient, updatesQueueName } from "../../localstack/create-queues.ts";
import { setUpTopics } from "../../shared/adapters/pulsar-admin/set-up.ts";

test("the topics are set up, and setting them up again changes nothing", async () => {
  const { pulsarAdminUrl } = inject("servers");
  const first = await setUpTopics(pulsarAdminUrl);
  expect(await setUpTopics(pulsarAdminUrl, { partitions: 9 })).toEqual({ ...first, partitions: 4 });
  const retention = await fetch(`${pulsarAdminUrl}/admin/v2/namespaces/public/keyline/retention`);
  expect(await retention.json()).toMatchObject({ retentionTimeInMinutes: -1, retentionSizeInMB: -1 });
});

test("several processes may set the same topics up at once", async () => {
  const { pulsarAdminUrl } = inject("servers");
  const atOnce = [1, 2, 3, 4].map(() => setUpTopics(pulsarAdminUrl, { namespace: "public/at-once" }));
  for (const topics of await Promise.all(atOnce)) expect(topics.partitions).toBe(4);
});

test("a Pulsar that is away and one that refuses are told apart", async () => {
  const port = await freePort();
  await expect(setUpTopics(`http://127.0.0.1:${port}`)).rejects.toMatchObject({
    code: "pulsar_admin_unavailable",
    retryable: true,
  });
  const refused = setUpTopics(inject("servers").pulsarAdminUrl, { namespace: "public/no spaces" });
  await expect(refused).rejects.toMatchObject({ code: "pulsar_admin_refused", retryable: false });
});

test("a message published over WebSocket before anyone consumed is received", async () => {
  const { pulsarWebSocketUrl, pulsarAdminUrl } = inject("servers");
  // A namespace of its own: the default one belongs to whoever runs beside us.
  await setUpTopics(pulsarAdminUrl, { namespace: "public/servers-test" });
  const topic = "persistent/public/servers-test/updates";
  await exchange(`${pulsarWebSocketUrl}/ws/v2/producer/${topic}`, { payload: btoa("hello"), key: "k" });
  const query = "subscriptionType=Key_Shared";
  const received = await exchange(`${pulsarWebSocketUrl}/ws/v2/consumer/${topic}/audience-update?${query}`);
  expect(atob(received.payload)).toBe("hello");
});

test("the queue is there", async () => {
  const client = localSqsClient(inject("servers").sqsEndpoint);
  try {
    expect(await createQueue(client)).toContain(updatesQueueName);
  } finally {
    client.destroy();
  }
});

test("Redis and Redis Cluster take writes", async () => {
  const { redisUrl, redisClusterUrl } = inject("servers");
  const redis = new Redis(redisUrl);
  const nodes = redisClusterUrl.replace("redis+cluster://", "").split(",");
  const cluster = new Cluster(nodes.map((node) => `redis://${node}`));
  try {
    expect(await redis.set("servers-test", "1")).toBe("OK");
    for (const key of ["a", "b", "c", "d", "e", "f"]) expect(await cluster.set(key, "1")).toBe("OK");
  } finally {
    redis.disconnect();
    cluster.disconnect();
  }
});

/** Sends `message`, if there is one, and resolves with the first answer. */
function exchange(url: string, message?: unknown): Promise<{ payload: string }> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    socket.on("error", reject);
    socket.on("open", () => message && socket.send(JSON.stringify(message)));
    socket.on("message", (data) => {
      socket.close();
      resolve(JSON.parse(String(data)));
    });
  });
}
