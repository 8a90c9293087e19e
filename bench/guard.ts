/**
 * `npm run bench:guard`: fails when an update costs much more CPU time than it did. Each figure is counted in the time
 * that `JSON.parse` and `JSON.stringify` of an envelope take in the same process at the same time: the machine's own
 * speed is in both. Needs no servers.
 */
import { spawnSync } from "node:child_process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Command } from "commander";
import { numberArgument } from "../test/support/number-argument.ts";
import { createFigures, median } from "./figures.ts";
import { applyWork, flowWork, gatewayWork, unit, type Work } from "./guard-work.ts";

const options = new Command("npm run bench:guard --")
  .description("Compares what an update costs with what it did, in process, in units of JSON.")
  .option("--json <file>", "write every figure with its unit to a file")
  .option("--rounds <n>", "measurements of each figure", numberArgument(1, 100), 9)
  .option("--once", "without a second try")
  .parse()
  .opts<{ json?: string; rounds: number; once?: true }>();

/**
 * What each figure may be times what is expected. On idle cores and on busy ones each stayed within 1.15 times
 * (docs/performance.md), and other processors may weigh JSON differently; `apply` called twice was 1.5 times.
 */
const MARGIN = 1.4;
const EXPECTED = {
  "guard.flow": 5.1,
  "guard.flowDefined": 7.4,
  "guard.apply": 1.75,
  "guard.gateway": 3.55,
} as const;

type Name = keyof typeof EXPECTED;

/** They compile the code. */
const WARM_UP_ROUNDS = 2;

// As the service has it (services/audience-update/main.ts).
setFlagsFromString("--no-allocation-site-pretenuring");
setFlagsFromString("--no-parallel-scavenge");
setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const gateway = await gatewayWork();
const works: Record<Name, Work> = {
  "guard.flow": flowWork(false),
  "guard.flowDefined": flowWork(true),
  "guard.apply": applyWork(),
  "guard.gateway": gateway,
};
const names = Object.keys(EXPECTED) as Name[];
const seen = new Map<Name, number[]>(names.map((name) => [name, []]));
for (let round = 0; round < WARM_UP_ROUNDS + options.rounds; round += 1)
  for (const name of names) {
    const ratio = await inUnits(works[name]);
    if (round >= WARM_UP_ROUNDS) seen.get(name)!.push(ratio);
  }
await gateway.close();

const figures = createFigures();
for (const name of names) figures.add(name, median(seen.get(name)!), "times JSON");
if (options.json !== undefined) figures.writeJson(options.json);
const slow = names.filter((name) => median(seen.get(name)!) > EXPECTED[name] * MARGIN);
for (const name of slow) {
  const [now, expected] = [median(seen.get(name)!).toFixed(2), EXPECTED[name]];
  console.error(`${name} is ${now} times JSON, more than ${MARGIN} times the ${expected} that are expected`);
}
if (slow.length > 0) process.exitCode = options.once ? 1 : tryAgain();

/** In another process: now and then V8 compiles a function so that it is slower for a process's whole life. */
function tryAgain(): number {
  console.error("measuring again, in another process");
  const again = [...process.argv.slice(1), "--once"];
  return spawnSync(process.execPath, again, { stdio: "inherit" }).status ?? 1;
}

/** One update of it, in units measured just before and just after. */
async function inUnits(work: Work): Promise<number> {
  const before = await microsPerUpdate(unit);
  const micros = await microsPerUpdate(work);
  const after = await microsPerUpdate(unit);
  return micros / ((before + after) / 2);
}

/** CPU time of this thread: those that compile beside it differ from run to run. */
async function microsPerUpdate({ updates, run }: Work): Promise<number> {
  collectGarbage();
  const before = process.threadCpuUsage();
  await run();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / updates;
}
