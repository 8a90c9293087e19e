/** The processes of a run: those that are there, how they start, and how they end. */
import type { Update } from "../../shared/domain/envelope.ts";
import type { Load } from "./load.ts";
import { createProcess, type SimulatedProcess, type World } from "./network.ts";
import {
  consumerLimits,
  type RunningConsumer,
  type RunningPublisher,
  startConsumer,
  startPublisher,
} from "./processes.ts";
import type { Servers } from "./servers.ts";

export type Fleet = {
  publishers(): readonly RunningPublisher[];
  consumers(): readonly RunningConsumer[];
  addPublisher(): void;
  addConsumer(): void;
  /** SIGKILL. */
  kill(process: SimulatedProcess): void;
  /** SIGTERM. */
  stop(consumer: RunningConsumer): void;
  /** Updates whose publish resolved. */
  acknowledged: readonly Update[];
};

/** The longest that a process may take to leave after SIGTERM. */
const MAX_STOP_MS = 25_000;
const SETTLING_MS = 90_000;
const SKEWED_SHARE = 0.3;
const MAX_SKEW_MS = 10_000;

export function createFleet(world: World, servers: Servers, load: Load): Fleet {
  const { time } = world;
  const acknowledged: Update[] = [];
  let publishers: RunningPublisher[] = [];
  let consumers: RunningConsumer[] = [];
  let started = 0;

  function start(kind: string, begin: (process: SimulatedProcess) => void): void {
    started += 1;
    const skewMs = time.random() < SKEWED_SHARE ? (time.random() - 0.5) * 2 * MAX_SKEW_MS : 0;
    const process = createProcess(world, `${kind}-${started}`, Math.round(skewMs));
    world.trace(() => `${process.name} starts, its clock ${process.skewMs} ms ahead`);
    time.after(0, () => begin(process), process);
  }

  function stop(consumer: RunningConsumer): void {
    const { process } = consumer;
    const startedMs = time.now();
    consumers = consumers.filter((each) => each !== consumer);
    time.after(MAX_STOP_MS, () => {
      if (process.alive) world.violate("I9", `${process.name} had not left ${MAX_STOP_MS} ms after SIGTERM`);
      process.alive = false;
    });
    const leave = async () => {
      await consumer.close();
      checkLeaving(consumer, startedMs);
      process.alive = false;
    };
    time.after(0, () => void leave(), process);
  }

  function checkLeaving({ process, flow }: RunningConsumer, startedMs: number): void {
    const tookMs = time.now() - startedMs;
    world.trace(() => `${process.name} left after ${tookMs} ms`);
    const { messages } = flow.counts();
    // Its own stop is a fault as well.
    const undisturbed = world.faults.now <= 1 && world.faults.lastMs < startedMs - SETTLING_MS;
    if (messages > 0 && (undisturbed || tookMs < consumerLimits.shutdownTimeoutMs))
      world.violate("I9", `${process.name} left after ${tookMs} ms with ${messages} messages in hand`);
  }

  return {
    publishers: () => publishers,
    consumers: () => consumers,
    addPublisher() {
      start("publisher", (process) => {
        const publisher = startPublisher(world, servers, process, (update) => acknowledged.push(update));
        publishers.push(publisher);
        load.begin(publisher);
      });
    },
    addConsumer() {
      start("consumer", (process) => {
        consumers.push(startConsumer(world, servers, process));
      });
    },
    kill(process) {
      process.alive = false;
      publishers = publishers.filter((each) => each.process !== process);
      consumers = consumers.filter((each) => each.process !== process);
    },
    stop,
    acknowledged,
  };
}
