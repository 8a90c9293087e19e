import { Command } from "commander";
import { numberArgument } from "../test/support/number-argument.ts";

export type BacklogOptions = { json?: string; updates: number; users: number; partitions: number };

const count = numberArgument(1, 999_999_999);

/** A script that drains a backlog, and what each of them is told of it. */
export function backlogCommand(
  script: string,
  description: string,
  defaults: Pick<BacklogOptions, "updates" | "users">,
): Command {
  return new Command(`npm run ${script} --`)
    .description(description)
    .option("--json <file>", "write every figure with its unit to a file")
    .option("--updates <n>", "updates in the backlog", count, defaults.updates)
    .option("--users <n>", "users that what is measured is spread over", count, defaults.users)
    .option("--partitions <n>", "partitions of the topic", count, 4);
}
