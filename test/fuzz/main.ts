/** `npm run fuzz -- --inputs N --seed N --subject S`: broken requests; the same seed sends the same. */
import { Command, Option } from "commander";
import { numberArgument } from "../support/number-argument.ts";
import type { FuzzRequest } from "./arbitrary-faults.ts";
import { type FuzzReport, fuzz, INPUTS_PER_ROUND, MAX_GROWTH_BYTES } from "./fuzz.ts";
import { fuzzedGateway } from "./gateway-subject.ts";
import { fuzzedService } from "./service-subject.ts";
import type { Fuzzed } from "./subject.ts";

const MAX_COUNT = 999_999_999;
const PROGRESS_EVERY = 50_000;
const options = new Command("npm run fuzz --")
  .description(
    "Sends generated requests, most of them broken: no crash, no 5xx, nothing taken that is wrong, bounded memory.",
  )
  .addOption(
    new Option(
      "--subject <s>",
      "the gateway, the audience-update service's admin endpoint, or one after the other",
    )
      .choices(["gateway", "service", "both"])
      .default("both"),
  )
  .option("--inputs <n>", "how many requests, to each subject", numberArgument(1, MAX_COUNT), 100_000)
  .option("--seed <n>", "the first seed; each 1,000 requests have one", numberArgument(0, MAX_COUNT), 1)
  .parse()
  .opts<{ subject: "gateway" | "service" | "both"; inputs: number; seed: number }>();
const { subject, seed } = options;

let sent = 0;
let under: string = subject;
for (const crash of ["uncaughtException", "unhandledRejection"])
  process.on(crash, (error: unknown) => {
    console.log(`failed: it crashed in one of the ${INPUTS_PER_ROUND} inputs after ${sent}:`, error);
    const at = seed + sent / INPUTS_PER_ROUND;
    console.log(`replay: npm run fuzz -- --subject ${under} --seed ${at} --inputs ${INPUTS_PER_ROUND}`);
    process.exit(1);
  });

async function run<R extends FuzzRequest>(fuzzed: Fuzzed<R>): Promise<void> {
  if (subject !== "both" && subject !== fuzzed.name) return;
  [sent, under] = [0, fuzzed.name];
  const report = await fuzz(fuzzed, options, (inputs) => {
    sent = inputs;
    if (inputs % PROGRESS_EVERY === 0) console.log(`${fuzzed.name}: ${inputs} inputs`);
  });
  print(fuzzed.name, report);
  if (report.failure !== undefined) process.exitCode = 1;
}

const megabytes = (bytes: number) => `${(bytes / 1_048_576).toFixed(1)} MiB`;

function print(name: string, { inputs, byStatus, taken, memoryBytes, seconds, failure }: FuzzReport): void {
  console.log(`${name}: ${inputs} inputs from seed ${seed} on, ${seconds.toFixed(1)} s, ${taken} taken`);
  for (const [status, count] of Object.entries(byStatus)) console.log(`  ${status}: ${count}`);
  const { early, end } = memoryBytes;
  console.log(
    `memory: ${megabytes(early)} after a tenth, ${megabytes(end)} at the end (at most ${megabytes(MAX_GROWTH_BYTES)} more)`,
  );
  console.log(failure === undefined ? "passed" : `failed: ${failure}`);
}

await run(fuzzedGateway);
await run(fuzzedService);
