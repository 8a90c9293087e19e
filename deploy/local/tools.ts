/** Programs of this machine that the local servers need: found, or installed where that is possible. */
import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { KeylineError, toError } from "../../shared/runtime/errors.ts";
import type { Report } from "./server-process.ts";

const execute = promisify(execFile);
const maxOutputBytes = 16 * 1024 * 1024;

/** Where a program stands on PATH, or undefined. */
export function findProgram(name: string): string | undefined {
  for (const directory of (process.env.PATH ?? "").split(delimiter)) {
    const file = join(directory, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not in this directory.
    }
  }
  return undefined;
}

/**
 * Runs a program to its end and resolves with what it printed, stdout and stderr together.
 * @throws KeylineError `local_command_failed`, with the end of what it printed.
 */
export async function runProgram(
  program: string,
  programArguments: readonly string[],
  options: { timeoutMs: number; environment?: Readonly<Record<string, string>> },
): Promise<string> {
  try {
    const { stdout, stderr } = await execute(program, programArguments, {
      timeout: options.timeoutMs,
      maxBuffer: maxOutputBytes,
      env: { ...process.env, ...options.environment },
    });
    return stdout + stderr;
  } catch (thrown) {
    const { stdout = "", stderr = "" } = thrown as { stdout?: string; stderr?: string };
    const said = (stdout + stderr).trim().slice(-2000) || toError(thrown).message;
    throw new KeylineError("local_command_failed", `${program} failed: ${said}`, {
      value: [program, ...programArguments].join(" "),
      cause: thrown,
    });
  }
}

/**
 * Installs Debian packages when this process may (root, apt-get).
 * @throws KeylineError `local_tool_missing` that says what to install where it may not.
 */
export async function installPackages(
  packages: readonly string[],
  why: string,
  report: Report,
): Promise<void> {
  if (process.getuid?.() !== 0 || findProgram("apt-get") === undefined) {
    throw new KeylineError("local_tool_missing", `${why}. Install it (Debian: ${packages.join(" ")}).`, {
      value: packages.join(" "),
    });
  }
  report(`${why}: installing ${packages.join(" ")} by apt-get`);
  const options = { timeoutMs: 600_000, environment: { DEBIAN_FRONTEND: "noninteractive" } };
  const install = ["install", "--yes", "--no-install-recommends", ...packages];
  try {
    await runProgram("apt-get", install, options);
  } catch {
    // The lists of packages are missing or too old on a fresh machine.
    await runProgram("apt-get", ["update"], options);
    await runProgram("apt-get", install, options);
  }
}
