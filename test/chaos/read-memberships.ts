/** What the servers have of definitions and memberships, past every service. */
import { openPulsar, openStores } from "../../shared/adapters/open.ts";
import type { TenantDefinitions } from "../../shared/domain/definitions/tenant-definitions.ts";
import { topicsOf } from "../../shared/runtime/topics.ts";
import type { RealStack } from "../support/real-stack.ts";
import { until } from "../support/until.ts";
import { definitionsDocument } from "./memberships.ts";

const TENANT = "chaos";
const PAGE = 1_000;
/** Nothing more comes when nothing has come for so long. */
const QUIET_MS = 5_000;

async function storesOf({ urls }: RealStack) {
  const stores = openStores({ redisUrl: urls.redis, redisKeyPrefix: "kl:", redisCommandTimeoutMs: 5_000 });
  await until("Redis answers", async () => {
    await stores.definitionStore.revision();
    return true;
  });
  return stores;
}

/** Before any service starts: it takes them up at once. */
export async function define(stack: RealStack): Promise<TenantDefinitions> {
  const { definitionStore, connection } = await storesOf(stack);
  const document = definitionsDocument(Date.now());
  const next = { version: document.version, document: JSON.stringify(document) };
  const isFirst = await definitionStore.replace(TENANT, 0, next);
  await connection.close();
  if (!isFirst) throw new Error("the tenant has definitions already");
  return document;
}

export async function readMembers(
  stack: RealStack,
  { audiences }: TenantDefinitions,
): Promise<Map<string, string[]>> {
  const { memberStore, connection } = await storesOf(stack);
  const members = new Map<string, string[]>();
  for (const [audience, { standing }] of Object.entries(audiences)) {
    const of = { tenant: TENANT, audience, version: standing.version };
    const listed: string[] = [];
    let after: string | undefined;
    do {
      const page = await memberStore.page(of, after, PAGE);
      listed.push(...page.userIds);
      after = page.next;
    } while (after !== undefined);
    members.set(audience, listed);
  }
  await connection.close();
  return members;
}

export async function readChanges({ environment }: RealStack): Promise<string[]> {
  const settings = {
    pulsarUrl: environment.PULSAR_URL!,
    pulsarToken: "",
    pulsarCompression: "none",
  } as const;
  const queue = await openPulsar(settings, () => {});
  const { changes: topic } = topicsOf("public/keyline");
  const consumer = queue.consumer({ topic, subscription: "check", connections: 1, maxPrefetched: 1_000 });
  const payloads: string[] = [];
  let timer = setTimeout(consumer.pause, 2 * QUIET_MS);
  for (;;) {
    const deliveries = await consumer.receive(1_000);
    if (deliveries.length === 0) break;
    payloads.push(...deliveries.map(({ payload }) => payload));
    await consumer.acknowledge(deliveries);
    clearTimeout(timer);
    timer = setTimeout(consumer.pause, QUIET_MS);
  }
  clearTimeout(timer);
  await consumer.close();
  await queue.close();
  return payloads;
}
