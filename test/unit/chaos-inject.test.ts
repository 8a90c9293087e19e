import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { injectAll } from "../chaos/inject.ts";
import type { Action, Fault } from "../chaos/schedule.ts";

const HOUR_MS = 3_600_000;
const killed = (what: "pulsar" | "redis"): Action => ({ kind: "kill", what });
const fault = (startMs: number, action: Action): Fault => ({ startMs, durationMs: 10, action });

test("each fault of the schedule is done, and when it began and ended is kept", async () => {
  const lines: string[] = [];
  const injected = await injectAll([fault(0, killed("pulsar")), fault(20, killed("redis"))], HOUR_MS, {
    carryOut: (_, durationMs) => sleep(durationMs),
    report: (line) => lines.push(line),
  });
  expect(injected.map(({ action }) => action)).toEqual([killed("pulsar"), killed("redis")]);
  for (const { startedMs, endedMs } of injected) expect(endedMs - startedMs).toBeGreaterThanOrEqual(9);
  expect(lines).toHaveLength(2);
});

test("a fault that fails ends the run at once, when those under way have ended", async () => {
  const ended: Action[] = [];
  const broken = new Error("pulsar was not ready");
  const injecting = injectAll(
    [fault(0, killed("redis")), fault(0, killed("pulsar")), fault(HOUR_MS / 2, killed("redis"))],
    HOUR_MS,
    {
      async carryOut(action, durationMs) {
        await sleep(action.kind === "kill" && action.what === "pulsar" ? 1 : durationMs);
        if (action.kind === "kill" && action.what === "pulsar") throw broken;
        ended.push(action);
      },
      report: () => {},
    },
  );
  await expect(injecting).rejects.toBe(broken);
  expect(ended).toEqual([killed("redis")]);
});
