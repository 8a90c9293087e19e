import { randomUUID } from "node:crypto";
import { describe, inject, it } from "vitest";
import WebSocket from "ws";
import { createMemoryBroker } from "../../shared/adapters/memory/memory-broker.ts";
import { createPulsarNative } from "../../shared/adapters/pulsar-native/pulsar-native.ts";
import { createPulsarWebSocket } from "../../shared/adapters/pulsar-websocket/pulsar-websocket.ts";
import type { Compression, PrimaryQueue, Topic } from "../../shared/ports/primary-queue.ts";
import { nativeIsInstalled } from "../support/native-client.ts";
import { partitions } from "../support/pulsar-partitions.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { describePrimaryQueue } from "./primary-queue.contract.ts";
import { describeNetworkFaults, type QueueOverNetwork } from "./primary-queue-faults.contract.ts";
import {
  describeCompression,
  describeKeyGroups,
  describeKeyRouting,
} from "./primary-queue-sending.contract.ts";
import { openProducer, type QueueUnderTest, sendAll } from "./primary-queue-steps.ts";

const newName = () => `persistent://public/default/contract-${randomUUID()}`;

async function openMemory(): Promise<QueueUnderTest> {
  const queue = createMemoryBroker();
  return {
    queue,
    newTopic: async () => newName(),
    async publishForeign(topic, payload) {
      await sendAll(await openProducer(queue, topic), [["", payload]]);
    },
    stall: () => queue.break(),
    restore: () => queue.heal(),
    close: queue.close,
  };
}

/** An adapter that reaches the real Pulsar through a proxy of its own. */
async function openOverNetwork(
  serverUrl: string,
  create: (url: string) => PrimaryQueue | Promise<PrimaryQueue>,
): Promise<QueueOverNetwork> {
  const { protocol, host } = new URL(serverUrl);
  const proxy = await startTcpProxy(host);
  const queue = await create(`${protocol}//${proxy.address}`);
  const topics: Topic[] = [];
  return {
    queue,
    async newTopic() {
      const topic = newName();
      await partitions.create(topic, 4);
      topics.push(topic);
      return topic;
    },
    publishForeign,
    async publishBeside(topic, messages) {
      const beside = createPulsarWebSocket({ url: inject("servers").pulsarWebSocketUrl });
      await sendAll(await openProducer(beside, topic), messages);
      await beside.close();
    },
    stall: proxy.stall,
    cut: proxy.cut,
    restore: proxy.restore,
    bytesReceived: proxy.bytesToClient,
    async close() {
      await queue.close();
      await proxy.close();
      for (const topic of topics) await partitions.remove(topic);
    },
  };
}

/** By hand over Pulsar's WebSocket API, without anything of ours. */
function publishForeign(topic: Topic, payload: string): Promise<void> {
  const path = topic.replace("://", "/");
  const socket = new WebSocket(`${inject("servers").pulsarWebSocketUrl}/ws/v2/producer/${path}`);
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("open", () => {
      socket.send(JSON.stringify({ payload: Buffer.from(payload).toString("base64") }));
    });
    socket.on("message", () => socket.close());
    socket.on("close", () => resolve());
  });
}

const openWebSocket = (compression: Compression = "none") =>
  openOverNetwork(inject("servers").pulsarWebSocketUrl, (url) => createPulsarWebSocket({ url, compression }));

const openNative = (compression: Compression = "none") =>
  openOverNetwork(inject("servers").pulsarUrl, (url) => createPulsarNative({ url, compression }));

describePrimaryQueue("memory broker", openMemory);
describePrimaryQueue("pulsar websocket api", openWebSocket);
describeNetworkFaults("pulsar websocket api", openWebSocket);
describeKeyRouting("pulsar websocket api", openWebSocket);
describeKeyGroups("pulsar websocket api", openWebSocket);
describeCompression("pulsar websocket api", openWebSocket);

if (await nativeIsInstalled()) {
  describePrimaryQueue("pulsar native client", openNative);
  describeNetworkFaults("pulsar native client", openNative);
  describeKeyRouting("pulsar native client", openNative);
  describeCompression("pulsar native client", openNative);
} else {
  describe("pulsar native client", () => {
    it.skip("pulsar native client");
  });
}
