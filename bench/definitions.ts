import { openStores } from "../shared/adapters/open.ts";
import { isProblem } from "../shared/domain/definitions/problem.ts";
import {
  NO_TENANT_DEFINITIONS,
  replaceDefinitions,
} from "../shared/domain/definitions/tenant-definitions.ts";
import { until } from "../test/support/until.ts";

/** Definitions as a shop has them: four events with five attributes each, and audiences over two attributes each. */

const EVENTS = ["order_completed", "product_viewed", "page_viewed", "cart_updated"] as const;

/** Each aggregate a shop uses, the everyday ones more often. */
const KINDS = [
  { aggregate: "count", window: "90d" },
  { aggregate: "sum", of: "amount", where: "event.amount > 0" },
  { aggregate: "days_since" },
  { aggregate: "max", of: "amount" },
  { aggregate: "last", of: "channel" },
] as const;

/** `attribute_0` counts over 90 days, `attribute_1` sums, and so on, event by event. */
export function attributesForBench(count: number): Record<string, object> {
  const attributes: Record<string, object> = {};
  for (let n = 0; n < count; n += 1) {
    const event = EVENTS[Math.floor(n / KINDS.length) % EVENTS.length];
    attributes[`attribute_${n}`] = { event, ...KINDS[n % KINDS.length] };
  }
  return attributes;
}

/** Half of them over attributes of one event, half also over the profile's own. */
export function audiencesForBench(count: number): Record<string, { rule: string }> {
  const audiences: Record<string, { rule: string }> = {};
  for (let n = 0; n < count; n += 1) {
    const group = KINDS.length * (n % EVENTS.length);
    const own = n % 2 === 0 ? "" : " && 'vip' in tags";
    audiences[`audience_${n}`] = {
      // Most users get into few of them, as in life: a change of membership costs a message of its own.
      rule: `attribute_${group} >= ${n + 5} && attribute_${group + 1} > ${n}.0${own}`,
    };
  }
  return audiences;
}

/** 20 attributes and 50 audiences. */
export const shop = { attributes: attributesForBench(20), audiences: audiencesForBench(50) };

/** Has a tenant's definitions under a key prefix; for the first time. */
export async function define(
  redisUrl: string,
  redisKeyPrefix: string,
  tenant: string,
  definitions: object,
): Promise<void> {
  const { definitionStore, connection } = openStores({
    redisUrl,
    redisKeyPrefix,
    redisCommandTimeoutMs: 5_000,
  });
  try {
    const document = replaceDefinitions(NO_TENANT_DEFINITIONS, definitions, Date.now());
    if (isProblem(document)) throw new Error(`${document.path}: ${document.message}`);
    const next = { version: document.version, document: JSON.stringify(document) };
    await until("the definitions are stored", () =>
      definitionStore.replace(tenant, 0, next).catch(() => false),
    );
  } finally {
    await connection.close();
  }
}
