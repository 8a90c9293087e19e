/** Receives and acknowledges, and does nothing else: what the client can do at best. A process of its own. */
import { openUpdatesTopic, untilConnected } from "./updates-topic.ts";

const { messages, unmeasured, subscription, connections, maxPrefetched } = JSON.parse(process.argv[2]!) as {
  messages: number;
  unmeasured: number;
  subscription: string;
  connections: number;
  maxPrefetched: number;
};
const { queue, topic } = await openUpdatesTopic(process.env);
const consumer = queue.consumer({ topic, subscription, connections, maxPrefetched, holdsPacks: true });
await untilConnected(consumer);
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
