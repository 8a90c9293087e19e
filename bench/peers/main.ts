/**
 * `npm run bench:peers`: Keyline beside other designs that keep the same profiles from the same updates, each in turn on
 * the same real servers of this machine, each configured as its documentation advises. docs/peers.md says how to read it.
 */
import { Command, InvalidArgumentError } from "commander";
import { numberArgument } from "../../test/support/number-argument.ts";
import { startRealStack } from "../../test/support/real-stack.ts";
import { createFigures } from "../figures.ts";
import type { Differences } from "./differences.ts";
import { type Drained, measureDrain } from "./drain.ts";
import { groupmq } from "./groupmq.ts";
import { keyline } from "./keyline.ts";
import { measureKill } from "./kill.ts";
import { measureOutage } from "./outage.ts";
import { PEER_NAMES, type Peer, type PeerName } from "./peer.ts";
import { PARTITIONS, pulsar } from "./pulsar.ts";
import { redlock } from "./redlock.ts";
import { restate } from "./restate.ts";
import { measureSteady } from "./steady.ts";

const PEERS: Record<PeerName, Peer> = { keyline, pulsar, groupmq, redlock, restate };
const PARTS = ["drain", "steady", "kill", "outage"] as const;
type Part = (typeof PARTS)[number];

/** Of the updates that are asked for, what each drains: the slow ones less, so that a run ends. */
const SHARES: Record<PeerName, number> = { keyline: 1, pulsar: 1, groupmq: 0.3, redlock: 0.1, restate: 0.1 };

/**
 * What is published live at most, or half of what a peer drains if that is less. Updates are sent to SQS one by one, and
 * at 500 a second LocalStack was late by one second.
 */
const MAX_STEADY_PER_SECOND: Record<PeerName, number> = {
  keyline: 500,
  pulsar: 500,
  groupmq: 500,
  redlock: 100,
  restate: 500,
};

const options = new Command("npm run bench:peers --")
  .description("Measures Keyline beside other designs, and whether each is right when things break.")
  .option("--only <names>", "some of the peers, with commas", namesOf(PEER_NAMES), [...PEER_NAMES])
  .option("--parts <names>", "some of the parts, with commas", namesOf(PARTS), [...PARTS])
  .option(
    "--updates <n>",
    "updates in the backlog of the fastest",
    numberArgument(1_000, 999_999_999),
    100_000,
  )
  .option("--rounds <n>", "drains of each that are measured", numberArgument(1, 20), 2)
  .option("--json <file>", "write every figure with its unit to a file")
  .parse()
  .opts<{ only: PeerName[]; parts: Part[]; updates: number; rounds: number; json?: string }>();

const figures = createFigures();
const peers = options.only.map((name) => PEERS[name]);
const stack = await startRealStack({ partitions: PARTITIONS, tuning: "full", report: console.log });
try {
  const rates = options.parts.includes("drain") ? await measureDrains() : new Map<PeerName, number>();
  for (const peer of peers) {
    const rate = rates.get(peer.name) ?? Number.POSITIVE_INFINITY;
    if (options.parts.includes("steady"))
      await addSteady(peer, Math.min(MAX_STEADY_PER_SECOND[peer.name], Math.floor(rate / 2)));
  }
  for (const peer of peers) if (options.parts.includes("kill")) await addKill(peer);
  for (const peer of peers) if (options.parts.includes("outage")) await addOutage(peer);
} finally {
  await stack.close();
}
console.log();
figures.print();
if (options.json !== undefined) figures.writeJson(options.json);

/**
 * One drain of each to warm up, then all in turn, because the machine's speed drifts.
 * @returns updates a second, by peer.
 */
async function measureDrains(): Promise<Map<PeerName, number>> {
  const measured = new Map<PeerName, Drained[]>(peers.map(({ name }) => [name, []]));
  for (let round = 0; round <= options.rounds; round += 1) {
    for (const peer of peers) {
      const updates = Math.round(options.updates * SHARES[peer.name]);
      const drained = await measureDrain(stack, peer, { run: `${peer.name}-drain-${round}`, updates });
      const { perSecond, cpuMicros, differences } = drained;
      console.log(
        `${round === 0 ? "warm-up" : `round ${round}`}, ${peer.name}, ${updates} updates: ` +
          `${Math.round(perSecond)}/s, ${cpuMicros.toFixed(1)} us, ${JSON.stringify(differences)}`,
      );
      if (round > 0) measured.get(peer.name)!.push(drained);
    }
  }
  for (const [name, drains] of measured) addDrains(name, drains, measured.get("keyline") ?? []);
  const rates = [...measured].map(
    ([name, drains]) => [name, mean(drains.map(({ perSecond }) => perSecond))] as const,
  );
  return new Map(rates);
}

function addDrains(name: PeerName, drains: readonly Drained[], beside: readonly Drained[]): void {
  const of = (figure: (drained: Drained) => number) => mean(drains.map(figure));
  const add = (figure: string, value: number, unit: string) =>
    figures.add(`peers.${name}.${figure}`, value, unit);
  add("updates", Math.round(options.updates * SHARES[name]), "updates");
  add(
    "perSecond",
    of(({ perSecond }) => perSecond),
    "updates/s",
  );
  add(
    "cpuMicros",
    of(({ cpuMicros }) => cpuMicros),
    "us/update",
  );
  for (const server of Object.keys(drains[0]!.serverCpuMicros))
    add(
      `serverCpuMicros.${server}`,
      of(({ serverCpuMicros }) => serverCpuMicros[server]!),
      "us/update",
    );
  add(
    "wrongUsers",
    of(({ differences }) => differences.wrongUsers),
    "users",
  );
  add(
    "wrongRegistersOnly",
    of(({ differences }) => differences.onlyRegisters),
    "users",
  );
  if (name === "keyline" || beside.length === 0) return;
  // Each with its neighbour in time.
  const ratio = (figure: (drained: Drained) => number) =>
    mean(drains.map((drained, round) => figure(beside[round]!) / figure(drained)));
  add(
    "ratio",
    ratio(({ perSecond }) => perSecond),
    "keyline/peer",
  );
  add(
    "cpuRatio",
    ratio(({ cpuMicros }) => cpuMicros),
    "keyline/peer",
  );
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

async function addSteady(peer: Peer, perSecond: number): Promise<void> {
  console.log(`publishing at ${perSecond}/s: ${peer.name}`);
  const { p50Ms, p99Ms } = await measureSteady(stack, peer, { run: `${peer.name}-steady`, perSecond });
  figures.add(`peers.${peer.name}.steadyPerSecond`, perSecond, "updates/s");
  figures.add(`peers.${peer.name}.p50`, p50Ms, "ms");
  figures.add(`peers.${peer.name}.p99`, p99Ms, "ms");
}

async function addKill(peer: Peer): Promise<void> {
  const updates = Math.round(options.updates * SHARES[peer.name]);
  console.log(`killing consumers amid ${updates} updates: ${peer.name}`);
  const killed = await measureKill(stack, peer, { run: `${peer.name}-kill`, updates });
  addDifferences(`peers.${peer.name}.kill`, killed.differences);
  figures.add(`peers.${peer.name}.kill.stuck`, killed.stuck, "updates");
  if (killed.overlapped !== undefined)
    figures.add(`peers.${peer.name}.kill.overlapped`, killed.overlapped, "updates");
}

async function addOutage(peer: Peer): Promise<void> {
  console.log(`freezing the broker: ${peer.name}`);
  const outage = await measureOutage(stack, peer, { run: `${peer.name}-outage` });
  const name = `peers.${peer.name}.outage`;
  figures.add(`${name}.begunWhileFrozen`, outage.begun, "updates");
  figures.add(`${name}.publishedWhileFrozen`, outage.publishedWhileFrozen, "updates");
  figures.add(`${name}.publishP99`, outage.publishP99Ms, "ms");
  figures.add(`${name}.failed`, outage.failed, "updates");
  addDifferences(name, outage.differences);
}

function addDifferences(name: string, { lost, doubled, wrongUsers, onlyRegisters }: Differences): void {
  figures.add(`${name}.lost`, lost, "updates");
  figures.add(`${name}.doubled`, doubled, "updates");
  figures.add(`${name}.wrongUsers`, wrongUsers, "users");
  figures.add(`${name}.wrongRegistersOnly`, onlyRegisters, "users");
}

function namesOf<Name extends string>(known: readonly Name[]): (text: string) => Name[] {
  return (text) =>
    text.split(",").map((name) => {
      if ((known as readonly string[]).includes(name)) return name as Name;
      throw new InvalidArgumentError(`${name} is none of ${known.join(", ")}`);
    });
}
