/**
 * What audiences over the purchases of the CDNOW sample hold at each month end of 1997, computed by SQLite
 * from the file. Written from docs/definitions.md alone: an independent answer for what Keyline says after it
 * was fed one event `purchase` {cds, dollars} at 00:00 UTC of each purchase's date.
 *
 * - `purchases`: count
 * - `dollars_90d`: sum of dollars, window 90d, which has buckets of a day
 * - `days_since_purchase`: days_since
 * - `basket`: average of dollars
 */
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

export type CustomerAtMonthEnd = {
  purchases: number;
  dollars90d: number;
  daysSincePurchase: number;
  basket: number;
};

export type MonthEnd = {
  /** The UTC midnight that begins the next month, milliseconds since the epoch; the user's `asOf`. */
  moment: number;
  /** Those with a purchase before it, by their id in the sample. */
  customers: Record<string, CustomerAtMonthEnd>;
  /** Ids in rising order. */
  audiences: {
    /** purchases >= 3 */
    bought_often: string[];
    /** days_since_purchase >= 60 */
    lapsed: string[];
    /** dollars_90d >= 200 */
    top_spender: string[];
  };
};

const SAMPLE_FILE = new URL("../../data/cdnow-sample.txt", import.meta.url);
const LINE = /^ \d{5} (\d{4}) (\d{4})(\d{2})(\d{2}) +(\d+) +(\d+)\.(\d{2})\r?$/;
const DAY_MS = 86_400_000;

/**
 * A purchase of day d lies in the bucket from d to d + 1, and counts until the day d + 1 + 90 begins. Money
 * is in whole cents.
 */
const CUSTOMERS = `
  WITH before AS (
    SELECT month_end.day AS month_end, purchase.customer, purchase.day, purchase.cents
    FROM month_end JOIN purchase ON purchase.day < month_end.day
  )
  SELECT
    month_end AS monthEnd,
    customer,
    count(*) AS purchases,
    sum(cents) AS cents,
    coalesce(sum(cents) FILTER (WHERE month_end < day + 1 + 90), 0) AS cents90d,
    month_end - max(day) AS daysSincePurchase
  FROM before GROUP BY month_end, customer
`;

/** The twelve month ends, in order. */
export function cdnowMonthEnds(file: string | URL = SAMPLE_FILE): MonthEnd[] {
  using database = new DatabaseSync(":memory:");
  load(database, readFileSync(file, "utf8"));
  database.exec(`CREATE TABLE customer AS ${CUSTOMERS}`);
  const days = database.prepare("SELECT day FROM month_end ORDER BY day").all();
  return days.map(({ day }) => {
    const select = database.prepare(
      `SELECT customer, purchases, cents, cents90d, daysSincePurchase FROM customer
       WHERE monthEnd = ? ORDER BY customer`,
    );
    const members = (condition: string): string[] =>
      database
        .prepare(`SELECT customer FROM customer WHERE monthEnd = ? AND ${condition} ORDER BY customer`)
        .all(day as number)
        .map(({ customer }) => String(customer));
    return {
      moment: Number(day) * DAY_MS,
      customers: Object.fromEntries(select.all(day as number).map(customerOf)),
      audiences: {
        bought_often: members("purchases >= 3"),
        lapsed: members("daysSincePurchase >= 60"),
        top_spender: members("cents90d >= 20000"),
      },
    };
  });
}

function load(database: DatabaseSync, text: string): void {
  database.exec(`
    CREATE TABLE purchase (customer TEXT, day INTEGER, cents INTEGER) STRICT;
    CREATE TABLE month_end (day INTEGER) STRICT;
    WITH RECURSIVE month(start) AS (
      VALUES ('1997-02-01') UNION ALL SELECT date(start, '+1 month') FROM month WHERE start < '1998-01-01'
    ) INSERT INTO month_end SELECT unixepoch(start) / 86400 FROM month;
    BEGIN;
  `);
  const insert = database.prepare("INSERT INTO purchase VALUES (?, unixepoch(?) / 86400, ?)");
  for (const [index, line] of text.trimEnd().split("\n").entries()) {
    const [, customer, year, month, day, , dollars, cents] = LINE.exec(line) ?? [];
    if (customer === undefined) throw new Error(`line ${index + 1} of the sample is no purchase: ${line}`);
    insert.run(customer, `${year}-${month}-${day}`, Number(`${dollars}${cents}`));
  }
  database.exec("COMMIT");
}

function customerOf(row: Record<string, unknown>): [string, CustomerAtMonthEnd] {
  const { customer, purchases, cents, cents90d, daysSincePurchase } = row as Record<string, number>;
  return [
    String(customer),
    {
      purchases: purchases!,
      dollars90d: cents90d! / 100,
      daysSincePurchase: daysSincePurchase!,
      basket: cents! / 100 / purchases!,
    },
  ];
}
