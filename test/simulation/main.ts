/** `npm run sim -- --seed N --seeds M`: runs seeds on all cores; one that fails is run again with its trace. */
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { numberArgument } from "../support/number-argument.ts";
import type { SeedsTask } from "./seeds-process.ts";
import type { Run } from "./simulate.ts";

const MAX_COUNT = 999_999_999;
/** A week; a timer holds less than 25 days. */
const MAX_SOAK_MINUTES = 10_080;
const count = numberArgument(1, MAX_COUNT);
const options = new Command("npm run sim --")
  .description("Runs the real code under a simulated clock, network and servers, and checks every promise.")
  .option("--seed <n>", "the first seed", numberArgument(0, MAX_COUNT), 1)
  .option("--seeds <n>", "how many seeds", count, 100)
  .option("--minutes <n>", "simulated minutes of each", count, 10)
  .option(
    "--soak <minutes>",
    "new seeds for so many real minutes, instead of --seeds",
    numberArgument(1, MAX_SOAK_MINUTES),
  )
  .option("--first-failure", "end at the first seed that fails")
  .option("--trace", "print what happens in the first seed")
  .parse()
  .opts<{ seed: number; seeds: number; minutes: number; soak?: number; firstFailure?: true; trace?: true }>();

/** Enough for a start and for compilation to cost little; a soak goes on in a new process then. */
const SEEDS_A_PROCESS = 200;
/** A seed of a soak that is never reached. */
const ENDLESS = 1_000_000_000;
const MAX_LINE = 500;
/** Of the new generation, as most of what a seed makes is gone at the next event: a tenth less CPU. */
const HEAP = "--max-semi-space-size=32";

const startedAtMs = performance.now();
const total = { passed: 0, updates: 0, faults: 0, events: 0 };
const failed: Run[] = [];
let ended = false;
const children = new Set<ReturnType<typeof spawn>>();

if (options.trace) {
  await runSeeds({ first: options.seed, count: 1, minutes: options.minutes, traced: true });
} else {
  const workers = Math.min(availableParallelism(), options.seeds);
  const seeds = options.soak === undefined ? options.seeds : ENDLESS;
  const share = Math.min(SEEDS_A_PROCESS, Math.ceil(seeds / workers));
  if (options.soak !== undefined) setTimeout(end, options.soak * 60_000);
  let next = 0;
  const work = async () => {
    while (next < seeds && !ended) {
      const first = options.seed + next;
      const count = Math.min(share, seeds - next);
      next += count;
      await runSeeds({ first, count, minutes: options.minutes, traced: false });
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
}

const seconds = (performance.now() - startedAtMs) / 1_000;
const { passed, updates, faults, events } = total;
console.log(
  `${updates} updates, ${faults} faults and ${events} events in ${(passed + failed.length) * options.minutes} simulated minutes, ${seconds.toFixed(1)} s`,
);
for (const { seed } of failed)
  console.log(`replay: npm run sim -- --seed ${seed} --minutes ${options.minutes} --trace`);
console.log(`${passed} passed, ${failed.length} failed`);
process.exitCode = failed.length > 0 ? 1 : 0;

async function runSeeds(task: SeedsTask): Promise<void> {
  const script = fileURLToPath(new URL("seeds-process.ts", import.meta.url));
  const child = spawn(process.execPath, [...process.execArgv, HEAP, script, JSON.stringify(task)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.add(child);
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  for await (const line of createInterface(child.stdout)) report(JSON.parse(line) as Run);
  children.delete(child);
  const code = await exited;
  if (code === 0 || child.killed) return;
  throw new Error(`the process of the seeds from ${task.first} on ended with ${code}`);
}

function report(run: Run): void {
  total.updates += run.updates;
  total.faults += run.faults;
  total.events += run.events;
  if (run.trace.length > 0) console.log(run.trace.join("\n"));
  if (run.violations.length === 0) {
    total.passed += 1;
    return;
  }
  failed.push(run);
  console.log(`seed ${run.seed} failed:`);
  for (const violation of run.violations) console.log(`  ${violation.slice(0, MAX_LINE)}`);
  if (options.firstFailure) end();
}

function end(): void {
  ended = true;
  for (const child of children) child.kill();
}
