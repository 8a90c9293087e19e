import Big from "big.js";

/**
 * An exact decimal number. Floating-point sums depend on the order of their terms; these do not, which is what
 * makes counters convergent. A value has one form: a number where it is a safe integer or has at most six
 * decimals and fifteen digits, and decimal text everywhere else.
 */
export type Decimal = number | string;

const MILLION = 1e6;
/** A decimal of up to fifteen digits is the only one of that length that its nearest double stands for. */
const FIFTEEN_DIGITS = 1e15;

/** The exact sum, in the one form that stands for it. */
export function addDecimal(a: Decimal, b: Decimal): Decimal {
  if (typeof a === "number" && typeof b === "number") {
    const sum = a + b;
    if (Number.isSafeInteger(a) && Number.isSafeInteger(b) && Number.isSafeInteger(sum)) return sum + 0;
    const micros = toMicros(a) + toMicros(b);
    if (Math.abs(micros) < FIFTEEN_DIGITS) return micros / MILLION;
  }
  const sum = new Big(a).plus(new Big(b));
  const text = sum.toFixed();
  const asNumber = Number(text);
  const exact = Number.isSafeInteger(asNumber) || !Number.isNaN(toMicros(asNumber));
  return exact && new Big(asNumber).eq(sum) ? asNumber : text;
}

/** Exactly a million times the value; NaN where it has more decimals or digits than a number takes. */
function toMicros(value: number): number {
  const micros = Math.round(value * MILLION);
  return Math.abs(micros) < FIFTEEN_DIGITS && micros / MILLION === value ? micros : Number.NaN;
}

/** The nearest double, for readers that take JSON numbers. */
export function decimalToNumber(value: Decimal): number {
  return Number(value);
}
