import Big from "big.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { addDecimal, type Decimal } from "../../shared/domain/decimal.ts";

/** Amounts as callers send them: prices, tiny and huge ones, and doubles without a short decimal form. */
const amount = fc.oneof(
  fc.integer({ min: -10_000_000, max: 10_000_000 }).map((cents) => cents / 100),
  fc.integer({ min: -1_000_000_000, max: 1_000_000_000 }).map((micros) => micros / 1e6),
  fc.constantFrom(0.1, 0.2, 0.30000000000000004, 1e-12, -1e-12, 1e15, -1e15, 999_999_999.999999, 0.000001),
  fc.maxSafeInteger(),
  fc
    .double({ min: -1e15, max: 1e15, noNaN: true })
    .filter((value) => Math.abs(value) >= 1e-12 || value === 0),
);

test("sums are exact, and the same in any order and any form", () => {
  fc.assert(
    fc.property(fc.array(amount, { minLength: 1, maxLength: 12 }), (amounts) => {
      const sum = (terms: readonly number[]) => terms.reduce<Decimal>(addDecimal, 0);
      const exact = amounts.reduce((total, each) => total.plus(new Big(each)), new Big(0));
      const result = sum(amounts);
      expect(new Big(result).eq(exact)).toBe(true);
      expect(sum(amounts.toReversed())).toBe(result);
      expect(sum(amounts.toSorted((a, b) => a - b))).toBe(result);
      expect(Object.is(result, -0)).toBe(false);
    }),
    { numRuns: 5_000 },
  );
});

test("an everyday price stays a number, and keeps its digits", () => {
  let total: Decimal = 0;
  for (let purchase = 0; purchase < 1_000; purchase++) total = addDecimal(total, 0.1);
  expect(total).toBe(100);
  expect(addDecimal(0.1, 0.2)).toBe(0.3);
  expect(addDecimal(999_999_999.999999, 0.000001)).toBe(1_000_000_000);
  expect(addDecimal(1e15, 0.5)).toBe("1000000000000000.5");
});

test("zero has one form, whatever its sign and however it was reached", () => {
  for (const zero of [
    addDecimal(-0, -0),
    addDecimal(-0.3, 0.3),
    addDecimal(-1e-12, 1e-12),
    addDecimal("-0.5", 0.5),
  ])
    expect(zero).toBe(0);
});
