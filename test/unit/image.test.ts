import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { nodeEnvironment } from "../../deploy/local/node-options.ts";

const image = readFileSync("deploy/Dockerfile", "utf8");

test("the image runs Node as the tests and the bench do", () => {
  expect(image).toContain(` NODE_OPTIONS=${nodeEnvironment.NODE_OPTIONS}\n`);
});

test("the image keeps what Node makes of the modules, by the user and with the options that it runs with", () => {
  const at = ["ENV NODE_COMPILE_CACHE=", "USER node\n", "RUN node services/", "ENTRYPOINT "].map((step) =>
    image.indexOf(step),
  );
  expect(at).toEqual(at.toSorted((a, b) => a - b));
  expect(at).not.toContain(-1);
});
