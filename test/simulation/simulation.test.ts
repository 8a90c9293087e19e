import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const SEEDS = Number(process.env.SEEDS ?? 2_000);

test(`every promise holds in ${SEEDS} seeds of 10 simulated minutes`, async () => {
  const main = fileURLToPath(new URL("main.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [main, "--seeds", String(SEEDS)]).catch(
    (error: { stdout: string; stderr: string }) => ({ stdout: `${error.stdout}${error.stderr}` }),
  );
  console.log(stdout.trimEnd().split("\n").slice(-2).join("\n"));
  expect(stdout.trimEnd().split("\n").at(-1), stdout).toBe(`${SEEDS} passed, 0 failed`);
}, 1_200_000);
