import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { mutants, plant } from "../simulation/mutants.ts";

test.each(mutants)("the bug that $name can be planted in $file as it is now", (mutant) => {
  const source = readFileSync(mutant.file, "utf8");
  expect(plant(mutant, source)).not.toBe(source);
});
