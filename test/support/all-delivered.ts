import { waitingQueueUrls } from "../../services/audience-update/waiting-queues.ts";
import { pulsarBacklog } from "./outcome.ts";
import { messagesIn } from "./queue-depth.ts";
import type { RealStack } from "./real-stack.ts";
import { until } from "./until.ts";

/**
 * Rejects while a queue still holds messages, those included that wait for Pulsar, saying how many.
 */
export async function allDelivered(stack: RealStack): Promise<true> {
  const left = await undelivered(stack);
  if (sumOf(left) > 0) throw stillThere(left);
  return true;
}

/** Waits for the same for as long as it becomes less, however slow the machine is; rejects when it does not. */
export async function drained(
  stack: RealStack,
  { patienceMs, everyMs }: { patienceMs: number; everyMs: number },
): Promise<void> {
  let least = Number.POSITIVE_INFINITY;
  const less = async () => {
    const left = await undelivered(stack);
    if (sumOf(left) >= least) throw stillThere(left);
    least = sumOf(left);
    return true;
  };
  while (least > 0) await until(`less than ${least} messages are left`, less, { patienceMs, everyMs });
}

type Left = { sqs: number; ledger: number; changes: number; pulsar: number };

/** Asked for in the direction that messages move, so that none is missed between two answers. */
async function undelivered({ urls, environment }: RealStack): Promise<Left> {
  const sqsQueueUrl = environment.SQS_QUEUE_URL!;
  const waiting = waitingQueueUrls({ sqsQueueUrl, sqsLedgerQueueUrl: "", sqsChangesQueueUrl: "" });
  return {
    sqs: await messagesIn(sqsQueueUrl),
    ledger: await messagesIn(waiting.ledger),
    changes: await messagesIn(waiting.changes),
    pulsar: await pulsarBacklog(urls.admin),
  };
}

function sumOf({ sqs, ledger, changes, pulsar }: Left): number {
  return sqs + ledger + changes + pulsar;
}

function stillThere(left: Left): Error {
  return new Error(`still undelivered: ${JSON.stringify(left)}`);
}
