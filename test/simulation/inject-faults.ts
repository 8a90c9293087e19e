/** How each fault begins, and how it ends. */
import type { Fault, PlannedFault } from "./faults.ts";
import type { Fleet } from "./fleet.ts";
import type { Load } from "./load.ts";
import { type Server, type ServerName, setLink, setServer, type World } from "./network.ts";
import type { Servers } from "./servers.ts";
import { type Course, failsSends, flickers, sickens } from "./sick-pulsar.ts";

export type Faults = {
  /** Begins the fault now, if its target is not busy with another, and ends it in time. */
  inject(planned: PlannedFault): void;
  /** How often an operator set or cleared the override. */
  toggles(): number;
};

/** Ends a fault. */
type End = () => void;

const BURST = 10;
const MAX_HOT_UPDATES = 800;

export function createFaults(world: World, servers: Servers, fleet: Fleet, load: Load): Faults {
  const { pulsar, ledgerQueue, redis } = servers;
  const busy = new Set<string>();
  let toggles = 0;

  /** Undefined where the target is busy with another fault. */
  function occupy(target: string, [on, off]: Course): End | undefined {
    if (busy.has(target)) return undefined;
    busy.add(target);
    on();
    return () => {
      busy.delete(target);
      off();
    };
  }

  /** Undefined where its target is busy, or nobody is there to be hit. */
  function begin(fault: Fault): End | undefined {
    switch (fault.kind) {
      case "pulsar stalls":
        return occupy("pulsar", [() => pulsar.stall(fault.storesLate), pulsar.heal]);
      case "pulsar flickers":
        return occupy("pulsar", flickers(world, servers));
      case "pulsar sickens":
        return occupy("pulsar", sickens(world, servers));
      case "pulsar crashes":
        return occupy("pulsar", [pulsar.crash, pulsar.heal]);
      case "some sends fail": {
        const end = occupy("sends", failsSends(world, servers, fault));
        if (end) heat(fault);
        return end;
      }
      case "server down":
        return occupy(fault.server, changeServer(fault.server, "down"));
      case "server stalls":
        return occupy(fault.server, changeServer(fault.server, "stalled"));
      case "server slow":
        return occupy(`slow ${fault.server}`, slowDown(world.servers[fault.server], fault));
      case "redis refuses writes":
        return occupy("refusal", [
          () => redis.refuseWrites(fault.reason),
          () => redis.refuseWrites(undefined),
        ]);
      case "ledger queue refuses":
        return occupy("ledger queue", [() => ledgerQueue.refuse(true), () => ledgerQueue.refuse(false)]);
      case "ten times the load":
        return occupy("load", [() => load.multiply(BURST), () => load.multiply(1)]);
      case "override": {
        const { route, forMs } = fault;
        return toggle(redis.routes.override({ route, ...operator, expiresInMs: forMs }));
      }
      case "override ended":
        return toggle(redis.routes.clearOverride(operator));
      default:
        return hitProcess(fault);
    }
  }

  function hitProcess(fault: Extract<Fault, { process: number }>): End | undefined {
    const oneOf = <T>(values: readonly T[]) => values[fault.process % values.length];
    const all = () => [...fleet.publishers(), ...fleet.consumers()].map(({ process }) => process);
    switch (fault.kind) {
      case "link": {
        const link = oneOf(all())?.links[fault.server];
        if (link?.state !== "up") return undefined;
        setLink(world, link, fault.state);
        return () => setLink(world, link, "up");
      }
      case "publisher killed": {
        const target = oneOf(fleet.publishers());
        if (target) fleet.kill(target.process);
        return target && fleet.addPublisher;
      }
      case "consumer killed": {
        const target = oneOf(fleet.consumers());
        if (target) fleet.kill(target.process);
        return target && fleet.addConsumer;
      }
      case "consumer stopped": {
        const target = oneOf(fleet.consumers());
        if (target) fleet.stop(target);
        return target && fleet.addConsumer;
      }
      case "consumer added":
        fleet.addConsumer();
        return () => {
          const target = oneOf(fleet.consumers());
          if (target && fleet.consumers().length > 1) fleet.stop(target);
        };
      case "clock steps": {
        const target = oneOf(all());
        if (target) target.skewMs += Math.round(fault.byMs);
        return () => {};
      }
    }
  }

  function heat({ publisher: index, hotPerSecond }: Extract<Fault, { hotPerSecond: number }>): void {
    const publishers = fleet.publishers();
    const publisher = publishers[index % publishers.length];
    if (publisher && hotPerSecond > 0) load.heat(publisher, hotPerSecond, MAX_HOT_UPDATES);
  }

  function toggle(toggling: Promise<unknown>): End {
    toggles += 1;
    void toggling;
    return () => {};
  }

  function changeServer(name: ServerName, state: Server["state"]): Course {
    return [() => setServer(world, name, state), () => setServer(world, name, "up")];
  }

  function slowDown(server: Server, { slowMs, lossRate }: Pick<Server, "slowMs" | "lossRate">): Course {
    const set = (values: Pick<Server, "slowMs" | "lossRate">) => () =>
      void Object.assign(server, values, { changedMs: world.time.now() });
    return [set({ slowMs, lossRate }), set({ slowMs: 0, lossRate: 0 })];
  }

  return {
    inject({ fault, forMs }) {
      const { faults, time } = world;
      const end = begin(fault);
      if (!end) return;
      faults.now += 1;
      if (faults.now > 1) faults.lastMs = time.now();
      world.trace(() => `FAULT ${JSON.stringify(fault)} for ${(forMs / 1_000).toFixed(1)} s`);
      time.after(forMs, () => {
        world.trace(() => `ENDED ${fault.kind}`);
        end();
        faults.now -= 1;
        faults.lastMs = time.now();
      });
    },
    toggles: () => toggles,
  };
}

const operator = { name: "operator", reason: "a test" };
