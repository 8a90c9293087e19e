import { attributeValue, type Profile } from "../../shared/domain/profile.ts";
import { decodeProfile } from "../../shared/domain/profile-record.ts";
import type { ProfileStore } from "../../shared/ports/profile-store.ts";
import { type Sums, toCents } from "./purchases.ts";

/** Whether every customer's profile is exactly what the file adds up to. */
export type Verdict = {
  tenant: string;
  customers: number;
  exact: number;
  /** The first few that differ, in words. */
  differing: string[];
};

const MAX_DIFFERING_SHOWN = 5;

/** Compares every profile of a tenant with the sums of the file. Rejects as `ProfileStore.load`. */
export async function judge(
  store: ProfileStore,
  tenant: string,
  expected: ReadonlyMap<string, Sums>,
): Promise<Verdict> {
  const differing: string[] = [];
  let exact = 0;
  for (const [userId, sums] of expected) {
    const record = await store.load({ tenant, userId });
    const found = record && sumsOf(decodeProfile(record.machinery).profile);
    const wanted = { ...sums, events: sums.purchases };
    if (JSON.stringify(found) === JSON.stringify(wanted)) exact += 1;
    else if (differing.length < MAX_DIFFERING_SHOWN)
      differing.push(`${userId}: ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
  }
  return { tenant, customers: expected.size, exact, differing };
}

/** In the order of `Sums`, as they are compared by their JSON. */
function sumsOf(profile: Profile) {
  return {
    purchases: profile.counters.get("purchases"),
    cds: profile.counters.get("cds"),
    cents: toCents(String(profile.counters.get("dollars"))),
    lastPurchase: attributeValue(profile, "lastPurchase"),
    events: profile.events.get("purchase")?.count,
  };
}
