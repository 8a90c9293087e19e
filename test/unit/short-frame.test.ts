import { once } from "node:events";
import { expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { shortFrame } from "../../shared/adapters/pulsar-websocket/short-frame.ts";

test("a server reads short frames of every length, many in one write, beside those of ws", async () => {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  const received: string[] = [];
  server.on("connection", (socket) => socket.on("message", (data) => received.push(data.toString())));
  const { port } = server.address() as { port: number };
  const client = new WebSocket(`ws://127.0.0.1:${port}`);
  const [[response]] = await Promise.all([once(client, "upgrade"), once(client, "open")]);
  const texts = Array.from({ length: 126 }, (_, length) => "x".repeat(length));
  response.socket.write(texts.map(shortFrame).join(""), "latin1");
  client.send("last");
  await expect.poll(() => received.length).toBe(texts.length + 1);
  expect(received).toEqual([...texts, "last"]);
  client.close();
  const [code] = await once(client, "close");
  expect(code).toBe(1005);
  server.close();
});

test("a text that needs a longer header is not its business", () => {
  expect(shortFrame("x".repeat(126))).toBeUndefined();
});
