/**
 * Real purchases of 2,357 customers, day by day through the real stack, with every clock at that day. At each of twelve
 * month ends what Keyline says equals what SQL says of the file.
 */
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { localAwsEnvironment } from "../../localstack/create-queues.ts";
import { parsePurchases } from "../../services/embedded/purchases.ts";
import { calculatedView } from "../../shared/domain/calculated-view.ts";
import { isProblem } from "../../shared/domain/definitions/problem.ts";
import {
  NO_TENANT_DEFINITIONS,
  replaceDefinitions,
} from "../../shared/domain/definitions/tenant-definitions.ts";
import { decodeProfile } from "../../shared/domain/profile-record.ts";
import { createLifecycle } from "../../shared/runtime/lifecycle.ts";
import { createLog } from "../../shared/runtime/log.ts";
import { cdnowMonthEnds } from "../support/cdnow-sql.ts";
import { createInstallation } from "../support/installation.ts";
import { type RealConsumer, startRealConsumer } from "../support/real-consumer.ts";
import { until } from "../support/until.ts";

const DAY_MS = 86_400_000;
const definitions = {
  attributes: {
    purchases: { event: "purchase", aggregate: "count" },
    dollars_90d: { event: "purchase", aggregate: "sum", of: "dollars", window: "90d" },
    days_since_purchase: { event: "purchase", aggregate: "days_since" },
    basket: { event: "purchase", aggregate: "average", of: "dollars" },
  },
  audiences: {
    bought_often: { rule: "purchases >= 3", description: "bought 3 or more times" },
    lapsed: { rule: "days_since_purchase >= 60", description: "lapsed for 60 days" },
    top_spender: { rule: "dollars_90d >= 200.0" },
  },
};
const AUDIENCES = ["bought_often", "lapsed", "top_spender"] as const;
const PATIENCE = { patienceMs: 60_000, everyMs: 10 };

const lifecycle = createLifecycle(createLog("test", "fatal"));
const clock = { nowMs: Date.UTC(1997, 0, 1) };
const monthEnds = cdnowMonthEnds();
let real: RealConsumer;

beforeAll(async () => {
  Object.assign(process.env, localAwsEnvironment);
  const installation = await createInstallation();
  real = await startRealConsumer(installation, lifecycle, {
    // Far more often than needed: a day takes some 50 ms here.
    settings: { SWEEP_INTERVAL_MS: "10" },
    now: () => clock.nowMs,
  });
  const { definitionStore, routeStore } = real.stores;
  // A clock that goes a day at a time makes sends look slow.
  const pinned = { reason: "the clock is not the broker's", name: "test", expiresInMs: 3_600_000 };
  await routeStore.override({ route: "pulsar", ...pinned });
  const document = replaceDefinitions(NO_TENANT_DEFINITIONS, definitions, clock.nowMs);
  if (isProblem(document)) throw new Error(document.message);
  const { version } = document;
  await definitionStore.replace("cdnow", 0, { version, document: JSON.stringify(document) });
  await until(
    "the definitions are taken up",
    () => real.consumer.definitions.document("cdnow").version === version,
  );
  await until("the route is pinned", () => real.consumer.routing.router.route().by === "override");
}, 60_000);

afterAll(lifecycle.close);

/** Every purchase of a day at its midnight, then a day of waiting in no time. */
type Bought = { customer: string; cds: number; dollars: number };

async function replayUntil(momentMs: number, byDay: ReadonlyMap<number, readonly Bought[]>): Promise<void> {
  for (; clock.nowMs < momentMs; clock.nowMs += DAY_MS) {
    const purchases = byDay.get(clock.nowMs) ?? [];
    await Promise.all(
      purchases.map(({ customer, cds, dollars }) =>
        real.publisher.user("cdnow", customer).event("purchase", { cds, dollars }, { at: clock.nowMs }),
      ),
    );
    await settled();
  }
  await settled();
}

/** All is applied, and no moment is due. */
async function settled(): Promise<void> {
  await until(
    "all is applied and nothing is due",
    async () => {
      // What is settled adds the next moment before that; so nothing may have been settled while it was asked for.
      const before = settledSoFar();
      if (!isQuiet()) return false;
      const { earliestMs = Number.POSITIVE_INFINITY } = await real.stores.dueStore.waiting();
      // All moments are midnights; an entry that is held comes again some seconds after this one.
      return earliestMs > clock.nowMs + DAY_MS / 2 && isQuiet() && settledSoFar() === before;
    },
    PATIENCE,
  );
}

function settledSoFar(): number {
  const { pulsar, sqs } = real.metrics.settled();
  return pulsar + sqs;
}

/** What was published has been settled. */
function isQuiet(): boolean {
  const published = real.publisher.counts().published.pulsar + real.metrics.changeCounts().ticks;
  return settledSoFar() >= published && real.consumer.flow.counts().messages === 0;
}

async function membersOf(audience: string): Promise<string[]> {
  const { version } = real.consumer.definitions.document("cdnow");
  const of = { tenant: "cdnow", audience, version };
  const { userIds, next } = await real.stores.memberStore.page(of, undefined, 10_000);
  expect(next).toBeUndefined();
  expect(await real.stores.memberStore.count(of)).toBe(userIds.length);
  return userIds;
}

describe("CDNOW, day by day through the real stack", () => {
  const byDay = new Map<number, Bought[]>();

  beforeAll(async () => {
    const file = await readFile(new URL("../../data/cdnow-sample.txt", import.meta.url), "utf8");
    for (const { customer, date, cds, cents } of parsePurchases(file)) {
      const at = Date.parse(date);
      const known = byDay.get(at) ?? [];
      byDay.set(at, known);
      known.push({ customer, cds, dollars: cents / 100 });
    }
  });

  test.each(monthEnds.map((month) => [new Date(month.moment).toISOString().slice(0, 10), month] as const))(
    "until %s the members, their number and all attributes are those of SQL",
    async (_, { moment, audiences, customers }) => {
      await replayUntil(moment, byDay);
      for (const audience of AUDIENCES) expect(await membersOf(audience)).toEqual(audiences[audience]);
      const compiled = real.consumer.definitions.of("cdnow");
      for (const [userId, expected] of Object.entries(customers)) {
        const record = await real.stores.store.load({ tenant: "cdnow", userId });
        const { attributes } = calculatedView(decodeProfile(record!.machinery).profile, compiled, moment);
        expect({ userId, ...attributes }).toEqual({
          userId,
          purchases: expected.purchases,
          dollars_90d: expected.dollars90d,
          days_since_purchase: expected.daysSincePurchase,
          basket: expect.closeTo(expected.basket, 9),
        });
      }
    },
    120_000,
  );
});
