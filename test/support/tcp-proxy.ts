import { connect, createServer, type Socket } from "node:net";

/**
 * A TCP proxy on 127.0.0.1 between a client and a server, to break the line between them:
 * working -> cut (connections are reset, new ones too), stalled (half-open: connections stay, no byte passes,
 * also none of new ones) or slow (each byte comes late, and few in a second) -> working.
 */
export type TcpProxy = {
  /** `127.0.0.1:port` */
  address: string;
  cut(): void;
  stall(): void;
  slow(by: Slowness): void;
  /** Stalled connections stay dead; those that the client has left meanwhile end at the server too. */
  restore(): void;
  bytesToClient(): number;
  close(): Promise<void>;
};

/** Of each direction of each connection. */
export type Slowness = { delayMs: number; bytesPerSecond: number };

type Line = { kind: "working" } | { kind: "cut" } | { kind: "stalled" } | ({ kind: "slow" } & Slowness);

/**
 * @param target `host:port`. The server's answers that name it name the proxy instead (Pulsar's lookup tells
 * the client where to connect); the proxy's port has as many digits, so that no length changes.
 */
export async function startTcpProxy(target: string): Promise<TcpProxy> {
  const [host, port] = target.split(":") as [string, string];
  let line: Line = { kind: "working" };
  let bytesToClient = 0;
  const pairs = new Set<{ client: Socket; server: Socket; stalled: boolean }>();
  let address = "";

  const listener = createServer((client) => {
    if (line.kind === "cut") {
      client.resetAndDestroy();
      return;
    }
    const server = connect({ host, port: Number(port) });
    const pair = { client, server, stalled: line.kind === "stalled" };
    pairs.add(pair);
    const end = () => {
      // While the line is stalled, the goodbye of one side does not reach the other either.
      if (pair.stalled && line.kind === "stalled") return;
      pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on("error", () => {});
      socket.on("close", end);
    }
    const slowness = () => (line.kind === "slow" ? line : undefined);
    const toServer = createLane(slowness, (chunk) => {
      if (!pair.stalled) server.write(chunk);
    });
    const toClient = createLane(slowness, (chunk) => {
      if (pair.stalled) return;
      bytesToClient += chunk.length;
      client.write(renamed(chunk, target, address));
    });
    client.on("data", toServer);
    server.on("data", toClient);
  });

  const chosen = await listen(listener, port.length);
  address = `127.0.0.1:${chosen}`;

  return {
    address,
    cut() {
      line = { kind: "cut" };
      for (const { client, server } of pairs) {
        client.resetAndDestroy();
        server.resetAndDestroy();
      }
      pairs.clear();
    },
    stall() {
      line = { kind: "stalled" };
      for (const pair of pairs) pair.stalled = true;
    },
    slow(by) {
      line = { kind: "slow", ...by };
    },
    restore() {
      line = { kind: "working" };
      for (const pair of pairs) {
        if (!pair.client.destroyed && !pair.client.readableEnded) continue;
        pairs.delete(pair);
        pair.client.destroy();
        pair.server.destroy();
      }
    },
    bytesToClient: () => bytesToClient,
    close() {
      for (const { client, server } of pairs) {
        client.destroy();
        server.destroy();
      }
      pairs.clear();
      return new Promise((resolve) => listener.close(() => resolve()));
    },
  };
}

/** Passes chunks on in their order, each when it is due; after a slow time what waits still comes first. */
function createLane(slowness: () => Slowness | undefined, pass: (chunk: Buffer) => void) {
  const waiting: Buffer[] = [];
  let freeAtMs = 0;
  return (chunk: Buffer) => {
    const slow = slowness();
    if (slow === undefined && waiting.length === 0) {
      pass(chunk);
      return;
    }
    const { delayMs, bytesPerSecond } = slow ?? { delayMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY };
    const nowMs = performance.now();
    freeAtMs = Math.max(freeAtMs, nowMs) + (chunk.length / bytesPerSecond) * 1000;
    waiting.push(chunk);
    setTimeout(() => pass(waiting.shift()!), freeAtMs + delayMs - nowMs);
  };
}

function renamed(chunk: Buffer, from: string, to: string): Buffer {
  if (from.length !== to.length || !chunk.includes(from)) return chunk;
  return Buffer.from(chunk.toString("latin1").replaceAll(from, to), "latin1");
}

/** Listens on a free port of so many digits. */
async function listen(listener: ReturnType<typeof createServer>, digits: number): Promise<number> {
  const lowest = Math.max(1_024, 10 ** (digits - 1));
  const highest = Math.min(65_535, 10 ** digits - 1);
  for (;;) {
    const port = lowest + Math.floor(Math.random() * (highest - lowest + 1));
    const free = await new Promise<boolean>((resolve) => {
      listener.once("error", () => resolve(false));
      listener.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (free) return port;
  }
}
