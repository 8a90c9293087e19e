import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

test("each npm script installs first what is missing, so that it runs on a fresh clone", () => {
  const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> };
  const own = Object.keys(scripts).filter((name) => !name.startsWith("pre"));
  expect(own).toContain("start");
  // `prepack` calls `build`.
  for (const name of own) expect(scripts, name).toHaveProperty([`pre${name}`], "node scripts/install.mjs");
});
