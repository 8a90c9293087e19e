/** `npm run fuzz -- --inputs N --seed N`: broken requests to the gateway; the same seed sends the same. */
import { Command } from "commander";
import { numberArgument } from "../support/number-argument.ts";
import { fuzz, INPUTS_PER_ROUND, MAX_GROWTH_BYTES } from "./fuzz.ts";

const MAX_COUNT = 999_999_999;
const PROGRESS_EVERY = 50_000;
const options = new Command("npm run fuzz --")
  .description(
    "Sends generated requests to the gateway, most of them broken: no crash, no 5xx, nothing taken that is wrong.",
  )
  .option("--inputs <n>", "how many requests", numberArgument(1, MAX_COUNT), 100_000)
  .option("--seed <n>", "the first seed; each 1,000 requests have one", numberArgument(0, MAX_COUNT), 1)
  .parse()
  .opts<{ inputs: number; seed: number }>();

let sent = 0;
for (const crash of ["uncaughtException", "unhandledRejection"])
  process.on(crash, (error: unknown) => {
    console.log(`failed: it crashed in one of the ${INPUTS_PER_ROUND} inputs after ${sent}:`, error);
    console.log(
      `replay: npm run fuzz -- --seed ${options.seed + sent / INPUTS_PER_ROUND} --inputs ${INPUTS_PER_ROUND}`,
    );
    process.exit(1);
  });
const report = await fuzz(options, (inputs) => {
  sent = inputs;
  if (inputs % PROGRESS_EVERY === 0) console.log(`${inputs} inputs`);
});
const { inputs, byStatus, updates, memoryBytes, seconds, failure } = report;
const megabytes = (bytes: number) => `${(bytes / 1_048_576).toFixed(1)} MiB`;
console.log(
  `${inputs} inputs from seed ${options.seed} on, ${seconds.toFixed(1)} s, ${updates} updates taken`,
);
for (const [status, count] of Object.entries(byStatus)) console.log(`  ${status}: ${count}`);
console.log(
  `memory: ${megabytes(memoryBytes.early)} after a tenth, ${megabytes(memoryBytes.end)} at the end (at most ${megabytes(MAX_GROWTH_BYTES)} more)`,
);
console.log(failure === undefined ? "passed" : `failed: ${failure}`);
process.exitCode = failure === undefined ? 0 : 1;
