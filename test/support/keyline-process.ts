import { execFile } from "node:child_process";

export type KeylineResult = { code: number | null; out: string[]; err: string };

/** Runs `keyline` in this checkout to its end, with what stands in `environment`. */
export function runKeyline(environment: Record<string, string>, ...words: string[]): Promise<KeylineResult> {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, ...environment }, maxBuffer: 16 * 1_048_576 };
    const child = execFile(
      process.execPath,
      ["services/cli/main.ts", ...words],
      options,
      (_failure, stdout, stderr) => {
        resolve({ code: child.exitCode, out: stdout.split("\n").filter((line) => line !== ""), err: stderr });
      },
    );
  });
}
