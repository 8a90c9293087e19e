import { KeylineError } from "../../shared/runtime/errors.ts";

/** One purchase of the CDNOW sample; data/README.md describes the file. */
export type Purchase = {
  /** Its line in the file, from 1. */
  line: number;
  customer: string;
  /** Such as `1997-01-01`. */
  date: string;
  cds: number;
  cents: number;
};

/** What a customer's purchases add up to. */
export type Sums = { purchases: number; cds: number; cents: number; lastPurchase: string };

const LINE = /^ *\d+ +(\d+) +(\d{4})(\d\d)(\d\d) +(\d+) +(\d+\.\d\d) *$/;

/**
 * The purchases in date order, those of one day in the order of the file.
 *
 * @throws KeylineError `bad_sample`, naming the first line that is not a purchase
 */
export function parsePurchases(file: string): Purchase[] {
  const purchases: Purchase[] = [];
  for (const [index, text] of file.split(/\r?\n/).entries()) {
    if (text === "") continue;
    const [, customer, year, month, day, cds, dollars] = LINE.exec(text) ?? [];
    const cents = dollars === undefined ? undefined : toCents(dollars);
    if (customer === undefined || cents === undefined)
      throw new KeylineError("bad_sample", `line ${index + 1} is not a purchase`, { value: text });
    purchases.push({ line: index + 1, customer, date: `${year}-${month}-${day}`, cds: Number(cds), cents });
  }
  return purchases.sort((a, b) => compareText(a.date, b.date));
}

export function sumByCustomer(purchases: readonly Purchase[]): Map<string, Sums> {
  const sums = new Map<string, Sums>();
  for (const { customer, cds, cents, date } of purchases) {
    const sum = sums.get(customer) ?? { purchases: 0, cds: 0, cents: 0, lastPurchase: "" };
    sum.purchases += 1;
    sum.cds += cds;
    sum.cents += cents;
    if (date > sum.lastPurchase) sum.lastPurchase = date;
    sums.set(customer, sum);
  }
  return sums;
}

/** An amount of dollars as text, in whole cents; undefined when it is not one. Exact: no floating point. */
export function toCents(dollars: string): number | undefined {
  const [, whole, fraction = ""] = /^(\d+)(?:\.(\d{1,2}))?$/.exec(dollars) ?? [];
  return whole === undefined ? undefined : Number(whole + fraction.padEnd(2, "0"));
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
