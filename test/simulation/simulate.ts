/**
 * One run: the real publishers and consumers under a simulated clock, on simulated servers and links that fail by
 * a plan that the seed gives. After the faults have ended every promise of the design is checked.
 */
import type { Update } from "../../shared/domain/envelope.ts";
import { seededOperations } from "../support/seeded-updates.ts";
import {
  checkAcknowledgement,
  checkAudit,
  checkBounds,
  checkCompleted,
  checkDeadLetters,
  checkKept,
  checkLedger,
  checkOneIdentity,
  checkProfiles,
  checkVisible,
  checkVotes,
} from "./checks.ts";
import { type Fault, type PlannedFault, planFaults } from "./faults.ts";
import {
  type Content,
  createProcess,
  createServer,
  type Server,
  type ServerName,
  type SimulatedProcess,
  setLink,
  setServer,
  type World,
} from "./network.ts";
import {
  consumerLimits,
  type RunningConsumer,
  type RunningPublisher,
  type Servers,
  startConsumer,
  startPublisher,
  topics,
} from "./processes.ts";
import { createSimulatedPulsar } from "./simulated-pulsar.ts";
import { createSimulatedRedis } from "./simulated-redis.ts";
import { createSimulatedQueue } from "./simulated-sqs.ts";
import { START_MS, type VirtualTime } from "./virtual-time.ts";

export type Run = {
  seed: number;
  /** Promises that were broken, in the order in which that was seen. */
  violations: string[];
  /** What happened, a line an event; empty unless asked for. */
  trace: string[];
  updates: number;
  faults: number;
  events: number;
};

export type RunOptions = { seed: number; minutes: number; traced: boolean };

/** Of the run: faults, then load alone, then only what is left to do. */
const FAULTS_SHARE = 0.5;
const LOAD_SHARE = 0.6;
const PUBLISHERS = 3;
const CONSUMERS = 2;
const USERS = 25;
/** Mean time between two updates of a publisher. */
const EVERY_MS = 4_000;
const BURST = 10;
/** The longest that a process may take to leave after SIGTERM. */
const MAX_STOP_MS = 25_000;
const MAX_VIOLATIONS = 10;
const SETTLING_MS = 90_000;
/** How long a broker takes messages that it does not deliver, before it stops to answer. */
const SICK_MS = 3_000;
/** By then the route has moved and the tail is through. */
const MOVED_WITHIN_MS = 40_000;
/** Of the messages, the share that can never apply. */
const POISON_SHARE = 0.01;
const POISON = ["no JSON", "{}", '{"v":9,"tenant":"sim","userId":"user-1"}'];

export async function simulate(time: VirtualTime, { seed, minutes, traced }: RunOptions): Promise<Run> {
  time.restart(seed);
  const run: Run = { seed, violations: [], trace: [], updates: 0, faults: 0, events: 0 };
  const trace = (line: () => string) => {
    if (traced) run.trace.push(`${((time.now() - START_MS) / 1_000).toFixed(3).padStart(8)}  ${line()}`);
  };
  const world: World = {
    time,
    servers: {
      pulsar: createServer("pulsar", time.now()),
      sqs: createServer("sqs", time.now()),
      redis: createServer("redis", time.now()),
    },
    trace,
    violate(promise, text) {
      trace(() => `VIOLATED ${promise}: ${text}`);
      if (run.violations.length < MAX_VIOLATIONS) run.violations.push(`${promise}: ${text}`);
    },
  };
  const scene = createScene(world, run);
  const lengthMs = minutes * 60_000;
  const faultsEndMs = lengthMs * FAULTS_SHARE;
  const plan = planFaults(time.random, faultsEndMs);
  run.faults = plan.length;
  for (const planned of plan) time.after(planned.atMs, () => scene.inject(planned));
  time.after(lengthMs * LOAD_SHARE, scene.endLoad);
  for (let elapsedMs = 0; elapsedMs < lengthMs; elapsedMs += 1_000) {
    await time.run(START_MS + elapsedMs);
    scene.checkBounds();
    if (elapsedMs > lengthMs * LOAD_SHARE + 1_000 && scene.unsettled() === undefined) break;
  }
  const unsettled = scene.unsettled();
  if (unsettled !== undefined) world.violate("I5", `not settled at the end: ${unsettled}`);
  await scene.checkEnd();
  run.events = time.events();
  return run;
}

function createScene(world: World, run: Run) {
  const { time } = world;
  const redis = createSimulatedRedis(world);
  const deadLettered = () =>
    new Set(
      servers.pulsar
        .ledger(topics.deadLetter)
        .map(({ payload }) => (JSON.parse(payload) as { payload: string }).payload),
    );
  const isInLedger = (message: Content) => servers.pulsar.took(topics.updates, message);
  const onAcknowledge = (delivery: Content) => checkAcknowledgement(world, redis, delivery, deadLettered);
  const servers: Servers = {
    pulsar: createSimulatedPulsar(world, onAcknowledge),
    updates: createSimulatedQueue(world, {
      maxPrefetched: 50,
      onAcknowledge(delivery) {
        onAcknowledge(delivery);
        checkKept(world, delivery, servers.ledgerQueue.took, deadLettered);
      },
    }),
    ledgerQueue: createSimulatedQueue(world, {
      maxPrefetched: 50,
      onAcknowledge: (delivery) => checkCompleted(world, delivery, isInLedger),
    }),
    redis,
  };
  const acknowledged: Update[] = [];
  const busy = new Set<string>();
  let publishers: RunningPublisher[] = [];
  let consumers: RunningConsumer[] = [];
  let load = 1;
  let started = 0;
  let overrides = 0;
  let flickering = false;
  let sickening = false;
  /** Since when Pulsar has been sick; undefined where something else was wrong then. */
  let sickSince: number | undefined;
  let poisons = 0;
  let faultsNow = 0;
  let lastFaultMs = 0;

  function start(kind: string, begin: (process: SimulatedProcess) => void): void {
    started += 1;
    const skewMs = time.random() < 0.3 ? (time.random() - 0.5) * 20_000 : 0;
    const process = createProcess(world, `${kind}-${started}`, Math.round(skewMs));
    world.trace(() => `${process.name} starts, its clock ${process.skewMs} ms ahead`);
    time.after(0, () => begin(process), process);
  }

  function addPublisher(): void {
    start("publisher", (process) => {
      const publisher = startPublisher(world, servers, process, (update) => acknowledged.push(update));
      publishers.push(publisher);
      time.after(time.random() * EVERY_MS, () => publishOn(publisher), process);
    });
  }

  function publishOn(publisher: RunningPublisher): void {
    if (load === 0) return;
    const user = Math.floor(time.random() ** 2 * USERS);
    run.updates += 1;
    if (time.random() < POISON_SHARE) void publisher.poison(`user-${user}`, pickPoison());
    void publisher.publish({
      userId: `user-${user}`,
      ops: seededOperations(time.random),
      trace: `publish-${run.updates}`,
    });
    const restMs = (-Math.log(1 - time.random()) * EVERY_MS) / load;
    time.after(restMs, () => publishOn(publisher), publisher.process);
  }

  /** Each is different, so that its dead letter can be told. */
  function pickPoison(): string {
    poisons += 1;
    const index = Math.floor(time.random() * POISON.length);
    return POISON[index]! + " ".repeat(poisons);
  }

  function addConsumer(): void {
    start("consumer", (process) => {
      consumers.push(startConsumer(world, servers, process));
    });
  }

  function kill(process: SimulatedProcess): void {
    process.alive = false;
    publishers = publishers.filter((each) => each.process !== process);
    consumers = consumers.filter((each) => each.process !== process);
  }

  function stop(consumer: RunningConsumer): void {
    const { process } = consumer;
    const startedMs = time.now();
    consumers = consumers.filter((each) => each !== consumer);
    time.after(MAX_STOP_MS, () => {
      if (process.alive) world.violate("I9", `${process.name} had not left ${MAX_STOP_MS} ms after SIGTERM`);
      process.alive = false;
    });
    time.after(
      0,
      () =>
        void consumer.close().then(() => {
          const tookMs = time.now() - startedMs;
          world.trace(() => `${process.name} left after ${tookMs} ms`);
          const { messages } = consumer.flow.counts();
          // Its own stop is a fault as well.
          const undisturbed = faultsNow <= 1 && lastFaultMs < startedMs - SETTLING_MS;
          if (messages > 0 && (undisturbed || tookMs < consumerLimits.shutdownTimeoutMs))
            world.violate("I9", `${process.name} left after ${tookMs} ms with ${messages} messages in hand`);
          process.alive = false;
        }),
      process,
    );
  }

  /** Starts a fault, and returns how to end it. Undefined where its target is busy with another. */
  function begin(fault: Fault): (() => void) | undefined {
    const all = () => [...publishers, ...consumers].map(({ process }) => process);
    const oneOf = <T>(values: readonly T[], index: number) => values[index % values.length];
    switch (fault.kind) {
      case "pulsar stalls":
        return occupy("pulsar", () => servers.pulsar.stall(fault.storesLate), servers.pulsar.heal);
      case "pulsar flickers":
        return occupy("pulsar", flicker, () => {
          flickering = false;
          servers.pulsar.heal();
        });
      case "pulsar sickens":
        return occupy("pulsar", sicken, () => {
          checkFreshness();
          sickening = false;
          servers.pulsar.heal();
        });
      case "pulsar crashes":
        return occupy("pulsar", servers.pulsar.crash, servers.pulsar.heal);
      case "server down":
        return occupy(fault.server, ...changeServer(fault.server, "down"));
      case "server stalls":
        return occupy(fault.server, ...changeServer(fault.server, "stalled"));
      case "server slow":
        return occupy(`slow ${fault.server}`, ...slowDown(world.servers[fault.server], fault));
      case "redis refuses writes":
        return occupy(
          "refusal",
          () => redis.refuseWrites(fault.reason),
          () => redis.refuseWrites(undefined),
        );
      case "ledger queue refuses":
        return occupy(
          "ledger queue",
          () => servers.ledgerQueue.refuse(true),
          () => servers.ledgerQueue.refuse(false),
        );
      case "link": {
        const link = oneOf(all(), fault.process)?.links[fault.server];
        if (link?.state !== "up") return undefined;
        setLink(world, link, fault.state);
        return () => setLink(world, link, "up");
      }
      case "publisher killed": {
        const target = oneOf(publishers, fault.process);
        if (target) kill(target.process);
        return target && addPublisher;
      }
      case "consumer killed": {
        const target = oneOf(consumers, fault.process);
        if (target) kill(target.process);
        return target && addConsumer;
      }
      case "consumer stopped": {
        const target = oneOf(consumers, fault.process);
        if (target) stop(target);
        return target && addConsumer;
      }
      case "consumer added":
        addConsumer();
        return () => {
          const target = oneOf(consumers, fault.process);
          if (target && consumers.length > 1) stop(target);
        };
      case "override": {
        overrides += 1;
        const { route, forMs } = fault;
        void redis.routes.override({ route, name: "operator", reason: "a test", expiresInMs: forMs });
        return () => {};
      }
      case "override ended":
        overrides += 1;
        void redis.routes.clearOverride({ name: "operator", reason: "a test" });
        return () => {};
      case "clock steps": {
        const target = oneOf(all(), fault.process);
        if (target) target.skewMs += Math.round(fault.byMs);
        return () => {};
      }
      case "ten times the load":
        return occupy(
          "load",
          () => setLoad(BURST),
          () => setLoad(1),
        );
    }
  }

  function flicker(): void {
    flickering = true;
    const turn = (stalls: boolean) => {
      if (!flickering) return;
      if (stalls) servers.pulsar.stall(true);
      else servers.pulsar.heal();
      time.after(2_000 + time.random() * 12_000, () => turn(!stalls));
    };
    turn(true);
  }

  /** It delivers nothing any more, and soon does not answer either. */
  function sicken(): void {
    const aloneSince = lastFaultMs;
    sickening = true;
    servers.pulsar.holdDeliveries();
    sickSince = faultsNow === 0 && time.now() - aloneSince > SETTLING_MS ? time.now() : undefined;
    time.after(SICK_MS, () => {
      if (sickening) servers.pulsar.stall(true);
    });
  }

  /** What Pulsar took shortly before it stopped must have come over SQS by now, when nothing else was wrong. */
  function checkFreshness(): void {
    if (sickSince === undefined || faultsNow > 1 || lastFaultMs > sickSince) return;
    if (time.now() - sickSince < SICK_MS + MOVED_WITHIN_MS) return;
    // What strangers sent is not in a publisher's tail.
    const own = servers.pulsar.ledger(topics.updates).filter(({ payload }) => !isPoison(payload));
    checkVisible(world, redis, own, deadLettered());
  }

  function setLoad(to: number): void {
    if (load > 0) load = to;
  }

  function changeServer(name: ServerName, state: Server["state"]): [() => void, () => void] {
    return [() => setServer(world, name, state), () => setServer(world, name, "up")];
  }

  function slowDown(
    server: Server,
    { slowMs, lossRate }: Pick<Server, "slowMs" | "lossRate">,
  ): [() => void, () => void] {
    const set = (values: Pick<Server, "slowMs" | "lossRate">) => () =>
      void Object.assign(server, values, { changedMs: time.now() });
    return [set({ slowMs, lossRate }), set({ slowMs: 0, lossRate: 0 })];
  }

  function occupy(target: string, on: () => void, off: () => void): (() => void) | undefined {
    if (busy.has(target)) return undefined;
    busy.add(target);
    on();
    return () => {
      busy.delete(target);
      off();
    };
  }

  for (let index = 0; index < PUBLISHERS; index += 1) addPublisher();
  for (let index = 0; index < CONSUMERS; index += 1) addConsumer();

  return {
    inject({ fault, forMs }: PlannedFault) {
      const end = begin(fault);
      if (!end) return;
      faultsNow += 1;
      if (faultsNow > 1) lastFaultMs = time.now();
      world.trace(() => `FAULT ${JSON.stringify(fault)} for ${(forMs / 1_000).toFixed(1)} s`);
      time.after(forMs, () => {
        world.trace(() => `ENDED ${fault.kind}`);
        end();
        faultsNow -= 1;
        lastFaultMs = time.now();
      });
    },
    endLoad() {
      load = 0;
    },
    /** What keeps the system from rest, in plain words; undefined when nothing does. */
    unsettled(): string | undefined {
      const underWay = publishers.find(({ publisher }) => publisher.counts().underWay > 0);
      if (underWay) return `${underWay.process.name} has updates under way`;
      const backlog = servers.pulsar.backlog(topics.updates);
      if (backlog > 0) return `${backlog} messages wait in Pulsar`;
      if (servers.updates.size() > 0) return `${servers.updates.size()} messages wait in SQS`;
      if (servers.ledgerQueue.size() > 0)
        return `${servers.ledgerQueue.size()} messages wait to be written to the ledger`;
      for (const { process, routing } of [...publishers, ...consumers]) {
        const { path, by, why } = routing.router.route();
        if (path !== "pulsar") return `${process.name} is on ${path} by ${by}: ${why}`;
        if (routing.breaker.state().state !== "closed") return `the breaker of ${process.name} is open`;
      }
      return undefined;
    },
    checkBounds: () => checkBounds(world, publishers, consumers),
    async checkEnd() {
      const taken = [...servers.pulsar.ledger(topics.updates), ...servers.updates.taken()];
      checkDeadLetters(world, taken.map(({ payload }) => payload).filter(isPoison), deadLettered());
      const accepted = taken.filter(({ payload }) => !isPoison(payload));
      checkLedger(world, accepted, isInLedger);
      const updates = accepted.map(({ payload }) => JSON.parse(payload) as Update);
      checkProfiles(world, redis, updates, acknowledged);
      checkOneIdentity(world, updates);
      await checkVotes(world, redis, publishers.length + consumers.length);
      await checkAudit(world, redis, overrides);
    },
  };
}

function isPoison(payload: string): boolean {
  return POISON.includes(payload.trimEnd());
}
