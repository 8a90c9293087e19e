import { ledgerQueueUrl } from "../../services/audience-update/settings.ts";
import { getJson } from "./get-json.ts";
import { messagesIn } from "./queue-depth.ts";
import type { RealStack } from "./real-stack.ts";

/**
 * Updates that a queue still holds, the ledger queue included. Asked for in the direction that messages move, so that
 * none is missed between two answers.
 */
export async function undelivered({ urls, environment }: RealStack): Promise<number> {
  const sqsQueueUrl = environment.SQS_QUEUE_URL!;
  const overSqs = await messagesIn(sqsQueueUrl);
  const forLedger = await messagesIn(ledgerQueueUrl({ sqsQueueUrl, sqsLedgerQueueUrl: "" }));
  const { subscriptions } = (await getJson(
    `${urls.admin}/admin/v2/persistent/public/keyline/updates/partitioned-stats`,
  )) as { subscriptions: Record<string, { msgBacklog: number }> };
  return overSqs + forLedger + subscriptions["audience-update"]!.msgBacklog;
}
