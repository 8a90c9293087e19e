import type { Client } from "pulsar-client";
import { afterEach, expect, test } from "vitest";
import { createNativeConnection } from "../../shared/adapters/pulsar-native/native-connection.ts";
import { until } from "../support/until.ts";

const TOPIC = "persistent://public/default/topic";
const timings = { probeIntervalMs: 5, minBackoffMs: 1, maxBackoffMs: 2, closeTimeoutMs: 50 };
const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Clients of which the first answers nothing; what they open, and what is closed, as `events`. */
function start(closeResource: () => Promise<unknown> = async () => {}) {
  const events: string[] = [];
  let clients = 0;
  const newClient = () => {
    clients += 1;
    const number = clients;
    const getPartitionsForTopic = () =>
      number === 1 ? new Promise<string[]>(() => {}) : Promise.resolve([TOPIC]);
    const close = async () => void events.push(`client ${number} closed`);
    return { number, getPartitionsForTopic, close } as unknown as Client;
  };
  const connection = createNativeConnection(newClient, timings, () => {});
  const kept = connection.keepOpen(TOPIC, {
    async open(client) {
      const { number } = client as unknown as { number: number };
      return {
        close() {
          events.push(`resource ${number} closed`);
          return closeResource();
        },
      };
    },
    onOpen: () => events.push("open"),
    onLost: () => events.push("lost"),
  });
  closing.push(connection.close, kept.close);
  return events;
}

test("what was open on a dead client is closed, and the client after it", async () => {
  const events = start();
  await until("the dead client is closed", () => events.includes("client 1 closed"), { everyMs: 5 });
  expect(events).toEqual(["open", "lost", "resource 1 closed", "open", "client 1 closed"]);
});

test("a resource whose close hangs keeps neither the dead client open nor the next one waiting", async () => {
  const events = start(() => new Promise(() => {}));
  await until("the dead client is closed", () => events.includes("client 1 closed"), { everyMs: 5 });
  expect(events).toEqual(["open", "lost", "resource 1 closed", "open", "client 1 closed"]);
});
