/** Processes, servers and the links between them: where messages are late, lost or stuck. */
import type { VirtualTime } from "./virtual-time.ts";

export type ServerName = "pulsar" | "sqs" | "redis";

/**
 * `up`; `cut` refused or reset at once, as by a firewall that rejects; `silent` half-open: nothing arrives on
 * either side and nobody is told. What was sent meanwhile arrives when it is up again, as TCP sees to.
 */
export type Link = { state: "up" | "cut" | "silent"; changedMs: number; waiting: (() => void)[] };

/** True when nothing was wrong between the process and the server since `sinceMs`. */
export function wasHealthy(
  world: World,
  process: SimulatedProcess,
  name: ServerName,
  sinceMs: number,
): boolean {
  const link = process.links[name];
  const server = world.servers[name];
  const up = link.state === "up" && server.state === "up" && server.slowMs === 0 && !server.ails;
  return up && Math.max(link.changedMs, server.changedMs) < sinceMs;
}

export type SimulatedProcess = {
  name: string;
  /** False from the moment of its SIGKILL: nothing that it does reaches anything any more. */
  alive: boolean;
  /** How far its clock is ahead. */
  skewMs: number;
  links: Record<ServerName, Link>;
};

/** `stalled` as by SIGSTOP: connections stay, nothing is answered until it goes on. */
export type Server = {
  name: ServerName;
  state: "up" | "down" | "stalled";
  changedMs: number;
  /** Answers wait this much longer, and are lost with this probability after the work was done. */
  slowMs: number;
  lossRate: number;
  /** Something is wrong with it that only some requests feel. */
  ails: boolean;
  /** Requests that arrived while it was stalled. */
  waiting: (() => void)[];
};

export type World = {
  time: VirtualTime;
  servers: Record<ServerName, Server>;
  /** How many faults there are now, and when the last one began beside others or ended. */
  faults: { now: number; lastMs: number };
  trace(line: () => string): void;
  /** Notes that a promise was broken. */
  violate(promise: string, text: string): void;
};

/** How long a client takes to notice that nothing answers any more: its pings. */
const NOTICE_MS = 3_000;

/** The other side can't be reached, and said so at once. */
export class Unreachable extends Error {}

export function createServer(name: ServerName, nowMs: number): Server {
  return { name, state: "up", changedMs: nowMs, slowMs: 0, lossRate: 0, ails: false, waiting: [] };
}

export function createProcess(world: World, name: string, skewMs: number): SimulatedProcess {
  const link = (): Link => ({ state: "up", changedMs: world.time.now(), waiting: [] });
  return { name, alive: true, skewMs, links: { pulsar: link(), sqs: link(), redis: link() } };
}

export function setLink(world: World, link: Link, state: Link["state"]): void {
  const waiting = link.waiting;
  Object.assign(link, { state, changedMs: world.time.now(), waiting: [] });
  if (state === "up") for (const go of waiting) go();
}

export function setServer(world: World, name: ServerName, state: Server["state"]): void {
  const server = world.servers[name];
  server.state = state;
  server.changedMs = world.time.now();
  if (state === "stalled") return;
  const waiting = server.waiting;
  server.waiting = [];
  if (state === "up") for (const run of waiting) run();
}

/** What a client believes. */
export function seemsConnected(world: World, process: SimulatedProcess, name: ServerName): boolean {
  const link = process.links[name];
  const server = world.servers[name];
  if (!process.alive || link.state === "cut" || server.state === "down") return false;
  const troubledMs = Math.min(
    link.state === "silent" ? link.changedMs : Number.POSITIVE_INFINITY,
    server.state === "stalled" ? server.changedMs : Number.POSITIVE_INFINITY,
  );
  return world.time.now() - troubledMs < NOTICE_MS;
}

/** One connection: what travels in one direction arrives in its order, each some milliseconds later. */
export type Channel = {
  /**
   * Does work at the server. Rejects with Unreachable where that is clear at once. Where the request or the
   * answer is lost it never settles, and the work may have been done.
   */
  request<T>(work: () => T | Promise<T>): Promise<T>;
  /** Sends one way, from the server to the process. */
  push(arrive: () => void): void;
};

export function openChannel(world: World, process: SimulatedProcess, name: ServerName): Channel {
  const link = process.links[name];
  const server = world.servers[name];
  let lastThereMs = 0;
  let lastBackMs = 0;

  function latencyMs(): number {
    const { random } = world.time;
    const usual = 1 + random() * 4;
    return (random() < 0.01 ? usual + random() * 200 : usual) + server.slowMs * random();
  }

  function travelThere(arrive: () => void): void {
    if (link.state === "silent") {
      link.waiting.push(() => travelThere(arrive));
      return;
    }
    lastThereMs = Math.max(lastThereMs, world.time.now() + latencyMs());
    world.time.after(lastThereMs - world.time.now(), () => {
      if (link.state === "silent") link.waiting.push(() => travelThere(arrive));
      if (link.state !== "up" || server.state === "down") return;
      if (server.state === "stalled") server.waiting.push(arrive);
      else arrive();
    });
  }

  function travelBack(arrive: () => void): void {
    if (link.state === "silent") {
      link.waiting.push(() => travelBack(arrive));
      return;
    }
    lastBackMs = Math.max(lastBackMs, world.time.now() + latencyMs());
    const arriveIfUp = () => {
      if (link.state === "silent") link.waiting.push(() => travelBack(arrive));
      else if (link.state === "up") arrive();
    };
    world.time.after(lastBackMs - world.time.now(), arriveIfUp, process);
  }

  return {
    request(work) {
      return new Promise((resolve, reject) => {
        if (!process.alive) return;
        if (link.state === "cut" || server.state === "down") {
          reject(new Unreachable(`${name} can't be reached`));
          return;
        }
        travelThere(() => {
          const answer = (settle: () => void) => {
            if (world.time.random() >= server.lossRate) travelBack(settle);
          };
          Promise.resolve()
            .then(work)
            .then(
              (result) => answer(() => resolve(result)),
              (error: unknown) => answer(() => reject(error as Error)),
            );
        });
      });
    },
    push: travelBack,
  };
}

/** What stays of a message whatever queue it is in. */
export type Content = { key: string; payload: string };

export function textOf({ key, payload }: Content): string {
  return `${key} ${payload}`;
}

/** Gives up waiting after `timeoutMs`. */
export function within<T>(work: Promise<T>, timeoutMs: number, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late()), timeoutMs);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
