import { waitingQueueUrls } from "../../services/audience-update/waiting-queues.ts";
import { pulsarBacklog } from "./outcome.ts";
import { messagesIn } from "./queue-depth.ts";
import type { RealStack } from "./real-stack.ts";

/**
 * Messages that a queue still holds, those included that wait for Pulsar. Asked for in the direction that messages move, so that
 * none is missed between two answers.
 */
export async function undelivered({ urls, environment }: RealStack): Promise<number> {
  const sqsQueueUrl = environment.SQS_QUEUE_URL!;
  const overSqs = await messagesIn(sqsQueueUrl);
  const { ledger, changes } = waitingQueueUrls({
    sqsQueueUrl,
    sqsLedgerQueueUrl: "",
    sqsChangesQueueUrl: "",
  });
  const forPulsar = (await messagesIn(ledger)) + (await messagesIn(changes));
  return overSqs + forPulsar + (await pulsarBacklog(urls.admin));
}
