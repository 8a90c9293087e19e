import Big from "big.js";

/**
 * An exact decimal number: a safe integer as a number, everything else as decimal text. Floating-point sums
 * depend on the order of their terms; these do not, which is what makes counters convergent.
 */
export type Decimal = number | string;

/** The exact sum, in the one form that stands for it. */
export function addDecimal(a: Decimal, b: Decimal): Decimal {
  if (typeof a === "number" && typeof b === "number") {
    const sum = a + b;
    if (Number.isSafeInteger(a) && Number.isSafeInteger(b) && Number.isSafeInteger(sum)) return sum + 0;
  }
  const sum = new Big(a).plus(new Big(b));
  const text = sum.toFixed();
  const asNumber = Number(text);
  return Number.isSafeInteger(asNumber) && new Big(asNumber).eq(sum) ? asNumber + 0 : text;
}

/** The nearest double, for readers that take JSON numbers. */
export function decimalToNumber(value: Decimal): number {
  return Number(value);
}
