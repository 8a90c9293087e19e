import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import { endpointOf } from "../../shared/adapters/pulsar-websocket/endpoint.ts";
import {
  openReconnectingSocket,
  type ReconnectingSocket,
} from "../../shared/adapters/pulsar-websocket/reconnecting-socket.ts";
import { until } from "../support/until.ts";

const quick = { connectTimeoutMs: 40, pingIntervalMs: 20, minBackoffMs: 4, maxBackoffMs: 64 };

/** Answers an upgrade when it is told to. */
type Asked = { path: string; answer(): void; refuse(): void; gone(): boolean };

let server: ReturnType<typeof createServer>;
let sockets: ReconnectingSocket[];
let onAsked: (asked: Asked) => void;
let asked: Asked[];
let opened: WebSocket[];

beforeEach(async () => {
  [sockets, asked, opened] = [[], [], []];
  const accept = new WebSocketServer({ noServer: true });
  server = createServer().on("upgrade", (request, stream: Socket, head) => {
    const ask: Asked = {
      path: new URL(request.url!, "http://server").pathname,
      answer: () => accept.handleUpgrade(request, stream, head, (socket) => opened.push(socket)),
      refuse: () => stream.destroy(),
      gone: () => stream.destroyed,
    };
    stream.on("error", () => {}).on("end", () => stream.destroy());
    stream.resume();
    asked.push(ask);
    onAsked(ask);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterEach(async () => {
  await Promise.all(sockets.map((socket) => socket.close()));
  server.closeAllConnections();
  server.close();
});

function endpoint(settings: Parameters<typeof endpointOf>[0] | object = {}) {
  return endpointOf({
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ...quick,
    ...settings,
  });
}

function open(at: ReturnType<typeof endpoint>, path: string): ReconnectingSocket {
  const socket = openReconnectingSocket(at, `${at.url}/${path}`, {
    onOpen() {},
    onMessage() {},
    onLost() {},
  });
  sockets.push(socket);
  return socket;
}

test("a server that answers later than the first attempt waits is waited for", async () => {
  onAsked = (ask) => setTimeout(() => !ask.gone() && ask.answer(), 5 * quick.connectTimeoutMs);
  const socket = open(endpoint(), "slow");
  await until("it is open", () => socket.session() !== undefined, { everyMs: 5 });
  expect(asked.length).toBeGreaterThan(1);
});

test("says why there is no session while the server does not answer", async () => {
  onAsked = () => {};
  const socket = open(endpoint(), "silent");
  await until("it has asked", () => asked.length === 1, { everyMs: 5 });
  await until("an attempt was given up", () => socket.problem() !== undefined, { everyMs: 5 });
  expect(socket.problem()).toMatchObject({
    code: "queue_not_connected",
    message: expect.stringMatching(/^127\.0\.0\.1:\d+: no answer within 40 ms$/),
  });
});

test("the first quick answer brings back a connection that waits patiently on a dead line", async () => {
  let dead = true;
  onAsked = (ask) => dead || ask.answer();
  const at = endpoint({ maxConnectTimeoutMs: 3_600_000 });
  const random = vi.spyOn(Math, "random").mockReturnValue(1);
  const patient = open(at, "patient");
  // Some attempts later it would wait for minutes.
  await until("it waits long", () => asked.length === 6, { everyMs: 5 });
  random.mockRestore();
  const began = performance.now();
  await until("it has waited", () => performance.now() - began > quick.connectTimeoutMs, { everyMs: 5 });
  dead = false;
  open(at, "another");
  await until("it is open", () => patient.session() !== undefined, { everyMs: 5 });
  expect(performance.now() - began).toBeLessThan(1_000);
});

test("a session that opens and is dropped before it answers a ping does not count as recovery", async () => {
  const backoffs: number[] = [];
  onAsked = (ask) => {
    ask.answer();
    opened.at(-1)!.terminate();
  };
  const random = vi.spyOn(Math, "random").mockReturnValue(1);
  const timers = vi.spyOn(globalThis, "setTimeout");
  open(endpoint({ maxBackoffMs: 33 }), "dropped");
  await until("it has tried often", () => asked.length >= 7, { everyMs: 5 });
  for (const [, ms] of timers.mock.calls) if ([4, 8, 16, 32, 33].includes(ms!)) backoffs.push(ms!);
  timers.mockRestore();
  random.mockRestore();
  expect(backoffs.slice(0, 6)).toEqual([4, 8, 16, 32, 33, 33]);
});

test("no more connections than the most are asked for at once; one that is closed before its turn never is", async () => {
  onAsked = () => {};
  const at = endpoint({ maxConnectsAtOnce: 2, connectTimeoutMs: 3_600_000 });
  const [first, second] = ["first", "second"].map((path) => open(at, path));
  const [closed, last] = ["closed", "last"].map((path) => open(at, path));
  await until("two are asked for", () => asked.length === 2, { everyMs: 5 });
  expect(last!.problem()?.message).toMatch(/: waits for other connections to be made$/);
  await closed!.close();
  asked[0]!.answer();
  await until("there is room for another", () => asked.length === 3, { everyMs: 5 });
  expect(asked.map(({ path }) => path)).toEqual(["/first", "/second", "/last"]);
  expect([first!.session() !== undefined, second!.session()]).toEqual([true, undefined]);
  // A refused one makes room as well.
  const after = open(at, "after");
  await until("it waits", () => after.problem() !== undefined, { everyMs: 5 });
  asked[1]!.refuse();
  await until("the next is asked for", () => asked.length === 4, { everyMs: 5 });
  expect(asked[3]!.path).toBe("/after");
});
