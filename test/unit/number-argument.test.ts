import { InvalidArgumentError } from "commander";
import { expect, test } from "vitest";
import { numberArgument } from "../support/number-argument.ts";

test("a number within its bounds is taken, both included", () => {
  expect(["1", "007", "60"].map(numberArgument(1, 60))).toEqual([1, 7, 60]);
  expect(["0.2", "1", "1.5"].map(numberArgument(0.2, 1.5, "number"))).toEqual([0.2, 1, 1.5]);
});

test.each(["", "0", "61", "-1", "+1", "1.5", "1e1", "0x1", " 1", "one", "1".repeat(400)])(
  "%j is refused as a whole number from 1 to 60, and quoted",
  (text) => {
    expect(() => numberArgument(1, 60)(text)).toThrow(
      new InvalidArgumentError(`${text} is not a whole number from 1 to 60`),
    );
  },
);

test.each(["0.19", "1.51", ".5", "1.", "1,5", "1.2.3", "NaN"])("%j is no number from 0.2 to 1.5", (text) => {
  expect(() => numberArgument(0.2, 1.5, "number")(text)).toThrow(`${text} is not a number from 0.2 to 1.5`);
});
