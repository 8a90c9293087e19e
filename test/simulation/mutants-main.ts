/** `npm run sim:mutants`: plants each bug in turn and runs the simulation until it sees it. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { numberArgument } from "../support/number-argument.ts";
import { mutants } from "./mutants.ts";

const { seeds, only } = new Command("npm run sim:mutants --")
  .description("Plants realistic bugs, one at a time, and checks that the simulation sees each.")
  .option("--seeds <n>", "seeds after which a bug has not been seen", numberArgument(1, 999_999), 300)
  .option("--only <text>", "only bugs whose name contains this", "")
  .parse()
  .opts<{ seeds: number; only: string }>();

const MAX_OUTPUT = 64 * 1_048_576;
const MAX_LINE = 200;

const path = (file: string) => fileURLToPath(new URL(file, import.meta.url));
const chosen = mutants.filter(({ name }) => name.includes(only));
let seen = 0;
for (const { name, file } of chosen) {
  const startedAtMs = performance.now();
  const violation = await firstViolation(name);
  const seconds = ((performance.now() - startedAtMs) / 1_000).toFixed(1);
  if (violation !== undefined) seen += 1;
  console.log(`${violation === undefined ? "NOT SEEN" : "seen"}  ${name} (${file}), ${seconds} s`);
  if (violation !== undefined) console.log(`      ${violation}`);
}
console.log(`${seen}/${chosen.length} planted bugs are seen`);
process.exitCode = seen === chosen.length ? 0 : 1;

/** What the simulation says of the bug; undefined when it passes. */
function firstViolation(mutant: string): Promise<string | undefined> {
  const args = ["--import", path("plant.ts"), path("main.ts"), "--seeds", String(seeds), "--first-failure"];
  const options = { env: { ...process.env, KEYLINE_MUTANT: mutant }, maxBuffer: MAX_OUTPUT };
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, options, (error, stdout, stderr) => {
      if (!error) return resolve(undefined);
      const violation = /^seed \d+ failed:\n\s+(.*)$/m.exec(stdout)?.[0]?.replace(/\n\s+/, " ");
      if (violation === undefined) return reject(new Error(`${mutant}: ${stderr || stdout}`));
      resolve(violation.slice(0, MAX_LINE));
    });
  });
}
