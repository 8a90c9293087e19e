/** The publishers and consumers as processes, each with lines of its own to each server, and a clock of its own. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { serviceNodeOptions } from "../../deploy/local/node-options.ts";
import type { Update } from "../../shared/domain/envelope.ts";
import type { Intent, JournalLine } from "../support/publisher-process.ts";
import type { RealStack } from "../support/real-stack.ts";
import { type ServiceProcess, startService } from "../support/service-process.ts";
import { type PublisherProcess, startPublisher } from "../support/start-publisher.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import type { FleetSize, Role, Server, Slot } from "./schedule.ts";

export type Load = { users: number; perSecondEach: number };

export type Fleet = {
  /** Starts a process in a slot; the one before must have ended. */
  start(slot: Slot): Promise<void>;
  process(slot: Slot): PublisherProcess | ServiceProcess;
  line(slot: Slot, server: Server): TcpProxy;
  setClock(slot: Slot, offsetMs: number): void;
  publishers(): PublisherProcess[];
  consumers(): ServiceProcess[];
  /** What all publishers, also those that were killed, have written down. */
  written(): { acknowledged: Update[]; intents: Intent[]; failedPublishes: number };
  /** Ends everything at once. */
  close(): Promise<void>;
};

type Place = {
  slot: Slot;
  lines: Record<Server, TcpProxy>;
  clockFile: string;
  environment: Record<string, string>;
  incarnations: number;
};

const SERVERS: readonly Server[] = ["pulsar", "sqs", "redis"];
const URL_OF: Record<Server, string> = { pulsar: "PULSAR_URL", sqs: "SQS_QUEUE_URL", redis: "REDIS_URL" };
const clockModule = pathToFileURL(join(import.meta.dirname, "skewed-clock.ts")).href;

export async function startFleet(options: {
  stack: RealStack;
  size: FleetSize;
  load: Load;
  seed: number;
  directory: string;
}): Promise<Fleet> {
  const { stack, size, load, seed, directory } = options;
  const places = new Map<Slot, Place>();
  const publishers = new Map<Slot, PublisherProcess>();
  const consumers = new Map<Slot, ServiceProcess>();
  const journals: { outputFile: string; file: string }[] = [];

  const fleet: Fleet = {
    async start(slot) {
      const place = places.get(slot)!;
      place.incarnations += 1;
      const name = `${slot}.${place.incarnations}`;
      if (roleOf(slot) === "consumer") {
        consumers.set(slot, await startService(place.environment, join(directory, `${slot}.log`)));
        return;
      }
      const outputFile = join(directory, `${name}.acknowledged`);
      const journal = { file: join(directory, `${name}.journal`), name };
      journals.push({ outputFile, file: journal.file });
      const task = {
        seed: seed * 1_000 + journals.length,
        updates: Number.MAX_SAFE_INTEGER,
        users: load.users,
        perSecond: load.perSecondEach,
        outputFile,
        journal,
      };
      publishers.set(slot, startPublisher(task, place.environment));
    },
    process: (slot) => (publishers.get(slot) ?? consumers.get(slot))!,
    line: (slot, server) => places.get(slot)!.lines[server],
    setClock: (slot, offsetMs) => writeFileSync(places.get(slot)!.clockFile, String(offsetMs)),
    publishers: () => [...publishers.values()],
    consumers: () => [...consumers.values()],
    written() {
      const acknowledged = journals.flatMap(({ outputFile }) => linesOf<Update>(outputFile));
      const journal = journals.flatMap(({ file }) => linesOf<JournalLine>(file));
      const intents = journal.flatMap((line) => ("intent" in line ? [line.intent] : []));
      return { acknowledged, intents, failedPublishes: journal.length - intents.length };
    },
    async close() {
      const processes = [...publishers.values(), ...consumers.values()];
      for (const process of processes) process.kill("SIGKILL");
      await Promise.all(processes.map(({ exited }) => exited));
      await Promise.all([...places.values()].flatMap(({ lines }) => Object.values(lines).map(closeLine)));
    },
  };
  for (const [role, count] of [
    ["consumer", size.consumers],
    ["publisher", size.publishers],
  ] as const) {
    for (let number = 1; number <= count; number += 1) {
      const slot: Slot = `${role}-${number}`;
      places.set(slot, await preparePlace(slot, stack, directory));
    }
  }
  try {
    for (const slot of places.keys()) await fleet.start(slot);
  } catch (thrown) {
    await fleet.close();
    throw thrown;
  }
  return fleet;
}

async function preparePlace(slot: Slot, stack: RealStack, directory: string): Promise<Place> {
  const environment = { ...stack.environment };
  const lines = {} as Record<Server, TcpProxy>;
  for (const server of SERVERS) {
    const { host } = new URL(environment[URL_OF[server]]!);
    lines[server] = await startTcpProxy(host);
    environment[URL_OF[server]] = environment[URL_OF[server]]!.replace(host, lines[server].address);
  }
  const clockFile = join(directory, `${slot}.clock`);
  writeFileSync(clockFile, "0");
  const memory = roleOf(slot) === "consumer" ? `${serviceNodeOptions} ` : "";
  Object.assign(environment, {
    CHAOS_CLOCK_FILE: clockFile,
    NODE_OPTIONS: `${memory}--import=${clockModule}`,
  });
  return { slot, lines, clockFile, environment, incarnations: 0 };
}

function roleOf(slot: Slot): Role {
  return slot.split("-")[0] as Role;
}

const closeLine = (line: TcpProxy) => line.close();

function linesOf<Line>(file: string): Line[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Line);
}
