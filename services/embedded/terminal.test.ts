import { expect, test } from "vitest";
import type { DemoStatus } from "./demo.ts";
import { cutOffText, drainedText, statusText } from "./status-text.ts";
import { createTerminal } from "./terminal.ts";
import type { WrittenProfile } from "./watch-writes.ts";

const written = (tenant: string, userId: string, attributes: object) =>
  ({ tenant, userId, attributes }) as WrittenProfile;
const status = {
  route: { path: "pulsar", by: "fleet", why: "healthy" },
  rate: { pulsar: 200, sqs: 0 },
  publisher: { published: { pulsar: 1, sqs: 0 }, failed: 0 },
  counted: { pulsar: 1, sqs: 0 },
  repeats: 0,
  replay: { stage: "replaying", tenant: "cdnow", line: 1, lines: 6_919 },
  pulsar: { broken: false },
  customers: [
    written("cdnow", "7", { purchases: 2, cds: 1, dollars: 29.5 }),
    written("demo", "42", { plan: "pro" }),
    written("demo", "43", { purchases: "many" }),
  ],
} as unknown as DemoStatus;

test("users who are no customers of the sample are shown without figures that they don't have", () => {
  expect(statusText(status, 3).customers).toBe(
    "7: 2 purchases, 1 CD, $29.50 · 42 of demo: 1 attribute · 43 of demo: 1 attribute",
  );
});

test("the last words name what was published and not counted", () => {
  const drained = {
    onTheWay: 1,
    left: 0,
    published: 290_684,
    counted: 288_295,
    repeatedIds: 2_387,
    parked: 2,
  };
  expect(drainedText(drained)).toBe(
    "Drained: 1 update on the way and counted now; 290,684 published, 288,295 counted, 2,387 repeats of an id that had counted, 2 parked.",
  );
  expect(drainedText({ ...drained, onTheWay: 1_200, left: 1_100 })).toContain(
    "Not drained in time: 1,100 of 1,200 updates on the way are not counted; ",
  );
  expect(cutOffText(1_100)).toBe("Ended at once: 1,100 updates on the way not counted.");
});

test("a terminal that reports 0 columns is taken as one of 80", () => {
  let shown = "";
  const write = (text: string) => {
    shown += text;
    return true;
  };
  createTerminal({ isTTY: true, columns: 0, write } as NodeJS.WriteStream).show(status);
  expect(shown).toContain("pulsar by fleet: healthy");
});
