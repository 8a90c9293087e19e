import type { KeylineError } from "../../../shared/runtime/errors.ts";
import type { Output } from "../dlq/commands.ts";
import type { ImportState } from "./import-state.ts";
import { durationText, type Progress, progressText } from "./progress-text.ts";

export type ShownProgress = {
  /** Bytes of the file that were read. */
  read(bytes: number): void;
  waiting(problem: KeylineError, restMs: number): void;
  end(): void;
};

const EVERY_MS = process.stderr.isTTY ? 1_000 : 10_000;

/** Says on the error output how far an import is, and what it waits for. */
export function showProgress(state: ImportState, output: Output): ShownProgress {
  const startedAtMs = performance.now();
  let readBytes = 0;
  /** Since the last line. */
  let wait: { problem: KeylineError; restMs: number } | undefined;
  const now = (): Progress => ({
    ...{ accepted: state.accepted, refused: state.refused, lines: state.next.line - 1 },
    // What is settled, where that is known; of a packed file, what is read.
    part: Math.min(1, Math.min(readBytes, state.next.offset) / Math.max(1, state.file.bytes)),
  });
  const begin = now();

  const timer = setInterval(() => {
    output.complain(progressText(now(), begin, performance.now() - startedAtMs));
    if (!wait) return;
    const { problem, restMs } = wait;
    output.complain(`waiting ${durationText(restMs)}: ${problem.code}: ${problem.message}`);
    wait = undefined;
  }, EVERY_MS);

  return {
    read(bytes) {
      readBytes = bytes;
    },
    waiting(problem, restMs) {
      wait = { problem, restMs };
    },
    end: () => clearInterval(timer),
  };
}
