import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { serviceNodeOptions } from "../../deploy/local/node-options.ts";

test("the image runs Node as the tests and the bench do", () => {
  expect(readFileSync("deploy/Dockerfile", "utf8")).toContain(` NODE_OPTIONS=${serviceNodeOptions}\n`);
});
