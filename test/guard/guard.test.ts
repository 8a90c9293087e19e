import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { exitOf } from "../support/service-process.ts";

// A process of its own, since what vitest has loaded runs slower than what Node runs.
test("an update costs no more CPU time, in units of JSON, than is expected", {
  timeout: 180_000,
}, async () => {
  const guard = spawn(process.execPath, ["bench/guard.ts"], { stdio: ["ignore", "pipe", "pipe"] });
  const [code, figures, problems] = await Promise.all([
    exitOf(guard),
    text(guard.stdout),
    text(guard.stderr),
  ]);
  console.log(figures);
  expect(code, problems).toBe(0);
});
