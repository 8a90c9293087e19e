/** Receives and acknowledges, and does nothing else: what the client can do at best. A process of its own. */
import { setTimeout as sleep } from "node:timers/promises";
import { openPrimaryQueue } from "../shared/adapters/open.ts";
import { createLog } from "../shared/runtime/log.ts";
import { topicsOf } from "../shared/runtime/topics.ts";

const { messages, unmeasured, subscription, connections, maxPrefetched } = JSON.parse(process.argv[2]!) as {
  messages: number;
  unmeasured: number;
  subscription: string;
  connections: number;
  maxPrefetched: number;
};
const log = createLog("raw-drain", "warn");
const queue = await openPrimaryQueue({ pulsarUrl: process.env.PULSAR_URL!, pulsarToken: "" }, log);
const consumer = queue.consumer({
  topic: topicsOf("public/keyline").updates,
  subscription,
  connections,
  maxPrefetched,
});
while (!consumer.connected()) await sleep(20);
console.log("connected");
let received = 0;
const drainTo = async (target: number) => {
  while (received < target) {
    const deliveries = await consumer.receive(500);
    received += deliveries.length;
    await consumer.acknowledge(deliveries);
  }
};
await drainTo(unmeasured);
const first = received;
const startedAtMs = performance.now();
const startedCpu = process.cpuUsage();
await drainTo(messages);
const seconds = (performance.now() - startedAtMs) / 1_000;
const { user, system } = process.cpuUsage(startedCpu);
const drained = messages - first;
console.log(JSON.stringify({ perSecond: drained / seconds, cpuMicros: (user + system) / drained }));
await consumer.close();
await queue.close();
