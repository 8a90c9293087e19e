import { execFile } from "node:child_process";

export type KeylineResult = { code: number | null; out: string[]; err: string };

export type KeylineProcess = { kill(signal: NodeJS.Signals): void; ended: Promise<KeylineResult> };

/** Starts `keyline` in this checkout, with what stands in `environment`. */
export function startKeyline(environment: Record<string, string>, ...words: string[]): KeylineProcess {
  const { promise, resolve } = Promise.withResolvers<KeylineResult>();
  const options = { env: { ...process.env, ...environment }, maxBuffer: 16 * 1_048_576 };
  const child = execFile(
    process.execPath,
    ["services/cli/main.ts", ...words],
    options,
    (_failure, stdout, stderr) => {
      resolve({ code: child.exitCode, out: stdout.split("\n").filter((line) => line !== ""), err: stderr });
    },
  );
  return { kill: (signal) => void child.kill(signal), ended: promise };
}

/** Runs it to its end. */
export function runKeyline(environment: Record<string, string>, ...words: string[]): Promise<KeylineResult> {
  return startKeyline(environment, ...words).ended;
}
