import type { PrimaryQueue } from "../../ports/primary-queue.ts";
import { createOpenResources } from "../open-resources.ts";
import { endpointOf, type PulsarWebSocketConfig } from "./endpoint.ts";
import { createWebSocketConsumer } from "./websocket-consumer.ts";
import { createWebSocketProducer } from "./websocket-producer.ts";
import { createWebSocketReader } from "./websocket-reader.ts";

/**
 * Pulsar by its own WebSocket API, which needs no native code: https://pulsar.apache.org/docs/client-libraries-websocket/
 *
 * @throws KeylineError `queue_url_invalid`; its methods throw `topic_invalid`
 */
export function createPulsarWebSocket(config: PulsarWebSocketConfig): PrimaryQueue {
  const endpoint = endpointOf(config);
  const open = createOpenResources();
  return {
    description: `Pulsar by its WebSocket API at ${endpoint.url}`,
    producer: (options) => open.track(createWebSocketProducer(endpoint, options)),
    consumer: (options) => open.track(createWebSocketConsumer(endpoint, options)),
    reader: (topic) => open.track(createWebSocketReader(endpoint, topic)),
    close: open.closeAll,
  };
}
