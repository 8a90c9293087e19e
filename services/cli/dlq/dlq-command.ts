/** The command line of `keyline dlq`: its commands, options and help. */
import { Command, InvalidArgumentError } from "commander";
import type { Producer } from "../../../shared/ports/update-queue.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import { dropLetters, listLetters, type Output, replayLetters, showLetter } from "./commands.ts";
import type { LetterBox } from "./letter-box.ts";
import { changingSelection, checkedId, filtersOf, momentOf, type SelectionOptions } from "./selection.ts";

/** The dead letters of one installation, open for one command. */
export type DeadLetters = {
  box: LetterBox;
  /** To the updates topic, connected. */
  producer(): Promise<Producer>;
  close(): Promise<void>;
};

export type DlqOptions = {
  open(): Promise<DeadLetters>;
  /** Ends a command that changes something after the letter that is under way. */
  signal: AbortSignal;
  output: Output;
  /** Is called when a command has not done all that was asked for. */
  onUnfinished(): void;
};

type ChangeOptions = SelectionOptions & { dryRun?: true };

const DEFAULT_RATE = 100;

export function dlqCommand({ open, signal, output, onUnfinished }: DlqOptions): Command {
  const dlq = new Command("dlq").description(
    "The messages that could never apply, with why. One command at a time.",
  );

  async function run(work: (letters: DeadLetters) => Promise<boolean>): Promise<void> {
    const letters = await open();
    try {
      if (!(await work(letters))) onUnfinished();
    } finally {
      await letters.close();
    }
  }

  filtered(dlq.command("list"))
    .description("One line each, newest last: id, when, reason, path, user, via, size.")
    .option("--limit <n>", "only the newest n", wholeNumber)
    .option("--json", "one JSON object a line, all but payload and stack")
    .action((options: SelectionOptions & { limit?: number; json?: true }) =>
      run(({ box }) => {
        const { limit, json = false } = options;
        return listLetters(box, filtersOf(options), { limit, json }, output);
      }),
    );

  dlq
    .command("show")
    .description("Everything about one, with its payload.")
    .argument("<id>", "as list says it")
    .option("--json", "as one line of JSON")
    .action((id: string, { json = false }: { json?: boolean }) => {
      const checked = checkedId(id);
      return run(({ box }) => showLetter(box, checked, { json }, output));
    });

  changing(dlq.command("replay"))
    .description(
      "Publishes what they hold to the updates topic again, under its own key, and takes them out.",
    )
    .option("--rate <n>", "at most so many a second", wholeNumber, DEFAULT_RATE)
    .addHelpText("after", REPLAY_HELP)
    .action((ids: string[], options: ChangeOptions & { rate: number }) => {
      const selection = changingSelection(ids, options);
      return run(async ({ box, producer }) => {
        const to = options.dryRun ? undefined : await producer();
        return replayLetters(box, selection, { producer: to, rate: options.rate, signal }, output);
      });
    });

  changing(dlq.command("drop"))
    .description("Takes them out for good.")
    .option("--yes", "needed where no ids are given")
    .action((ids: string[], options: ChangeOptions & { yes?: true }) => {
      const selection = changingSelection(ids, options);
      const { dryRun = false } = options;
      if (ids.length === 0 && !options.yes && !dryRun) {
        throw new KeylineError(
          "not_confirmed",
          "dropping without ids needs --yes; --dry-run shows what it would drop",
        );
      }
      return run(({ box }) => dropLetters(box, selection, { dryRun, signal }, output));
    });
  return dlq;
}

function filtered(command: Command): Command {
  return command
    .option("--reason <code>", "those parked for this reason, such as invalid_update")
    .option("--user <tenant:userId>", "those of this user, or with this key")
    .option("--since <when>", "those parked since: ISO 8601, or 90s, 15m, 2h, 7d ago", moment);
}

function changing(command: Command): Command {
  return filtered(command.argument("[ids...]", "as list says them"))
    .option("--all", "all that are there")
    .option("--dry-run", "say what it would do, and change nothing");
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError(`It is not a whole number from 1 on.`);
  return Number(text);
}

function moment(text: string): number {
  const atMs = momentOf(text, Date.now());
  if (atMs === undefined)
    throw new InvalidArgumentError("It is neither ISO 8601 nor such as 90s, 15m, 2h, 7d.");
  return atMs;
}

const REPLAY_HELP = `
Goes once through what is there when it begins; what is parked meanwhile, also by the replay itself, stays.
Where Pulsar does not answer it stops, and what it did not say "replayed" of is still there.

What was published with the library counts once, however often it is replayed, and in its old order; if it was
too_old_to_tell it is parked again. A minimal message takes its identity and its order from its place in the
ledger, and a replay gives it a new one: it counts as published now, once for each replay that reached Pulsar
(once at all, within the time that ids are remembered, if it has an id). What is longer than any limit allows
was kept in part only, and is refused.`;
