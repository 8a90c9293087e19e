/** Runs docs/tutorial.md: each `sh` block in one shell, and what it prints must have all that its `json` block says. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createInstallation } from "../support/installation.ts";
import { type ServiceProcess, startService } from "../support/service-process.ts";

const BLOCK = /```sh\n([\s\S]*?)```(?:\s*```json\n([\s\S]*?)```)?/g;
const tutorial = readFileSync(new URL("../../docs/tutorial.md", import.meta.url), "utf8");
const blocks = [...tutorial.matchAll(BLOCK)].map(([, commands, answers = ""]) => ({
  commands: commands!,
  answers: answers
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as object),
}));

const END = "--- end of the block ---";
const directory = mkdtempSync(join(tmpdir(), "keyline-tutorial-"));
let service: ServiceProcess;
let run: (commands: string) => Promise<string[]>;
let endShell: () => void;

beforeAll(async () => {
  const { environment } = await createInstallation();
  const ADMIN_TOKEN = "tutorial-token";
  service = await startService({ ...environment, ADMIN_TOKEN }, join(directory, "service.log"));
  const shell = spawn("bash", [], {
    env: { ...process.env, ...environment, ADMIN_TOKEN, KEYLINE_URL: service.adminUrl },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface(shell.stdout)[Symbol.asyncIterator]();
  run = async (commands) => {
    shell.stdin.write(`${commands}\necho '${END}'\n`);
    const printed: string[] = [];
    for (let line = await lines.next(); !line.done && line.value !== END; line = await lines.next())
      printed.push(line.value as string);
    return printed;
  };
  endShell = () => shell.stdin.end();
}, 60_000);

afterAll(async () => {
  endShell?.();
  service?.kill("SIGTERM");
  await service?.exited;
  rmSync(directory, { recursive: true, force: true });
});

test("what the tutorial says is what happens", async () => {
  expect(blocks.length).toBeGreaterThanOrEqual(5);
  for (const { commands, answers } of blocks) {
    const printed = await run(commands);
    const found = printed.map((line) => JSON.parse(line) as object);
    expect(found).toHaveLength(answers.length);
    answers.forEach((answer, index) => {
      expect(found[index]).toMatchObject(answer);
    });
  }
}, 240_000);
