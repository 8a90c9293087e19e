/** `npm run chaos`: breaks real servers and processes by a seeded schedule and checks every promise afterwards. */
import { writeFileSync } from "node:fs";
import { Command } from "commander";
import { shutdownSignal } from "../../shared/runtime/lifecycle.ts";
import { numberArgument } from "../support/number-argument.ts";
import { figuresOf, printReport, promisesKept } from "./report.ts";
import { runChaos } from "./run.ts";

const options = new Command("npm run chaos --")
  .description("Breaks real Pulsar, SQS, Redis, publishers and consumers, and checks what is left (Linux).")
  .option("--minutes <n>", "how long faults come", numberArgument(0.2, 1_440, "number"), 5)
  .option("--seed <n>", "makes the schedule and the updates", numberArgument(0, 4_294_967_295), 1)
  .option("--json <file>", "write the figures, the faults and the findings to a file")
  .parse()
  .opts<{ minutes: number; seed: number; json?: string }>();

const interrupted = shutdownSignal().then((signal) => {
  throw new Error(`interrupted by ${signal}`);
});
interrupted.catch(() => {});
const report = await runChaos({ ...options, report: console.log, interrupted }).catch((error: Error) => {
  console.error(error.message, error.cause ?? "");
  // A fault may still be under way, and would start a process again.
  process.exit(1);
});
printReport(report, console.log);
if (options.json !== undefined)
  writeFileSync(options.json, `${JSON.stringify({ figures: figuresOf(report), ...report }, undefined, 2)}\n`);
const kept = promisesKept(report);
if (!kept) console.log(`a promise was broken with --minutes ${options.minutes} --seed ${options.seed}`);
process.exit(kept ? 0 : 1);
