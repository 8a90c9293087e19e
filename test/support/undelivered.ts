import { ledgerQueueUrl } from "../../services/audience-update/settings.ts";
import { pulsarBacklog } from "./outcome.ts";
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
  return overSqs + forLedger + (await pulsarBacklog(urls.admin));
}
