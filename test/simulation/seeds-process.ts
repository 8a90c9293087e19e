/** Runs seeds from the first on, and prints a line of JSON for each. */
import { simulate } from "./simulate.ts";
import { installVirtualTime } from "./virtual-time.ts";

export type SeedsTask = { first: number; count: number; minutes: number; traced: boolean };

const task = JSON.parse(process.argv[2]!) as SeedsTask;
// A stack for each of many expected errors would be a tenth of the time.
Error.stackTraceLimit = task.traced ? 10 : 0;
const time = installVirtualTime();
process.on("unhandledRejection", (reason) => {
  throw new Error(`a rejection that nobody handles: ${String(reason)}`);
});
for (let index = 0; index < task.count; index += 1) {
  const seed = task.first + index;
  const run = await simulate(time, { seed, minutes: task.minutes, traced: task.traced });
  process.stdout.write(`${JSON.stringify(run)}\n`);
}
process.exit();
