import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { stampAt } from "../../shared/domain/stamp.ts";
import { cdnowMonthEnds } from "../support/cdnow-sql.ts";
import { DAY, type DefinitionsInput, recompute } from "../support/recompute.ts";

const monthEnds = cdnowMonthEnds();
const at = (date: string) => monthEnds.find(({ moment }) => moment === Date.parse(date))!;

/** The lines of a customer, read by columns. */
const purchasesOf = (customer: string) =>
  readFileSync("data/cdnow-sample.txt", "utf8")
    .split("\n")
    .filter((line) => line.slice(7, 11) === customer)
    .map((line) => ({
      at: Date.UTC(Number(line.slice(12, 16)), Number(line.slice(16, 18)) - 1, Number(line.slice(18, 20))),
      cds: Number(line.slice(20, 23)),
      dollars: Number(line.slice(23)),
    }));

describe("the CDNOW sample in SQL", () => {
  test("has the twelve midnights that end a month of 1997", () => {
    expect(monthEnds.map(({ moment }) => new Date(moment).toISOString().slice(0, 10))).toEqual([
      ...["1997-02-01", "1997-03-01", "1997-04-01", "1997-05-01", "1997-06-01", "1997-07-01"],
      ...["1997-08-01", "1997-09-01", "1997-10-01", "1997-11-01", "1997-12-01", "1998-01-01"],
    ]);
  });

  test("0001 bought on 1 and 18 January, 2 August and 12 December", () => {
    expect(at("1997-02-01").customers["0001"]).toEqual({
      ...{ purchases: 2, dollars90d: 59.06, daysSincePurchase: 14, basket: 29.53 },
    });
    // 1 January counts for 91 days, until 2 April begins.
    expect(at("1997-04-01").customers["0001"]).toMatchObject({ dollars90d: 59.06, daysSincePurchase: 73 });
    expect(at("1997-05-01").customers["0001"]).toMatchObject({ dollars90d: 0, daysSincePurchase: 103 });
    expect(at("1997-08-01").customers["0001"]).toMatchObject({ purchases: 2 });
    expect(at("1997-09-01").customers["0001"]).toMatchObject({ purchases: 3, dollars90d: 14.96 });
    expect(at("1998-01-01").customers["0001"]).toEqual({
      ...{ purchases: 4, dollars90d: 26.48, daysSincePurchase: 20, basket: 100.5 / 4 },
    });
  });

  test("0001 has lapsed at the end of March, and bought often at that of August", () => {
    const holding = (audience: "bought_often" | "lapsed") =>
      monthEnds
        .filter(({ audiences }) => audiences[audience].includes("0001"))
        .map(({ moment }) => new Date(moment).getUTCMonth() || 12);
    // On 1 October it is 60 days since 2 August.
    expect(holding("lapsed")).toEqual([3, 4, 5, 6, 7, 9, 10, 11]);
    expect(holding("bought_often")).toEqual([8, 9, 10, 11, 12]);
  });

  test("a customer is none before the first purchase", () => {
    const [first] = purchasesOf("2357");
    expect(new Date(first!.at).toISOString().slice(0, 10)).toBe("1997-03-25");
    expect(at("1997-03-01").customers["2357"]).toBeUndefined();
    expect(at("1997-04-01").customers["2357"]).toMatchObject({ purchases: 1, daysSincePurchase: 7 });
    expect(Object.keys(at("1998-01-01").customers)).toHaveLength(2357);
  });

  test("the naive recomputation says the same of some customers", () => {
    const definitions: DefinitionsInput = {
      attributes: {
        purchases: { event: "purchase", aggregate: "count" },
        dollars_90d: { event: "purchase", aggregate: "sum", of: "dollars", window: "90d" },
        days_since_purchase: { event: "purchase", aggregate: "days_since" },
        basket: { event: "purchase", aggregate: "average", of: "dollars" },
      },
      audiences: {
        bought_often: { rule: "purchases >= 3" },
        lapsed: { rule: "days_since_purchase >= 60" },
        top_spender: { rule: "dollars_90d >= 200" },
      },
    };
    // The first ones, and those with most purchases.
    for (const customer of ["0001", "0003", "0021", "1901", "2149", "1203", "2357"])
      for (const { moment, customers, audiences } of monthEnds) {
        const updates = purchasesOf(customer)
          .filter((purchase) => purchase.at < moment)
          .map(({ at, ...properties }, i) => ({
            ...{
              v: 1 as const,
              tenant: "t",
              userId: customer,
              src: "s",
              seq: i + 1,
              stamp: stampAt(at) + i,
              at,
            },
            ops: [{ kind: "event" as const, body: { name: "purchase", properties } }],
          }));
        const expected = customers[customer];
        const { attributes, ...recomputed } = recompute(definitions, updates, [moment]);
        expect(attributes).toEqual(
          expected
            ? {
                purchases: expected.purchases,
                dollars_90d: expected.dollars90d,
                days_since_purchase: expected.daysSincePurchase,
                basket: expected.basket,
              }
            : {},
        );
        expect(recomputed.audiences).toEqual(
          Object.entries(audiences).flatMap(([name, members]) => (members.includes(customer) ? [name] : [])),
        );
        expect(moment % DAY).toBe(0);
      }
  });
});
