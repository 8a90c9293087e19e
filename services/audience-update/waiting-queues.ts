/** The SQS queues where messages wait for their Pulsar topic, beside the queue that carries updates. */
import { KeylineError } from "../../shared/runtime/errors.ts";
import { url, type Values } from "../../shared/runtime/settings.ts";

export const waitingQueueSettings = {
  sqsLedgerQueueUrl: url({
    env: "SQS_LEDGER_QUEUE_URL",
    schemes: ["http", "https"],
    default: "",
    meaning:
      "the SQS FIFO queue where what came over SQS waits to be written to the Pulsar topic; when empty, `SQS_QUEUE_URL` with `-ledger` before its `.fifo`",
  }),
  sqsChangesQueueUrl: url({
    env: "SQS_CHANGES_QUEUE_URL",
    schemes: ["http", "https"],
    default: "",
    meaning:
      "the SQS FIFO queue where membership changes wait to be written to the Pulsar topic `changes`; when empty, `SQS_QUEUE_URL` with `-changes` before its `.fifo`",
  }),
};

type QueueUrls = Values<typeof waitingQueueSettings> & { sqsQueueUrl: string };

/**
 * The URLs of the queues where messages wait for their Pulsar topic, each given or made from the updates queue's.
 * @throws KeylineError `bad_settings` when two of the three are one queue: what is in it would go round for ever, or
 * into a topic that is not its own.
 */
export function waitingQueueUrls(settings: QueueUrls): { ledger: string; changes: string } {
  const { sqsQueueUrl } = settings;
  const madeWith = (suffix: string) => sqsQueueUrl.replace(/\.fifo$/, `-${suffix}.fifo`);
  const ledger = settings.sqsLedgerQueueUrl || madeWith("ledger");
  const changes = settings.sqsChangesQueueUrl || madeWith("changes");
  const queues = [
    { name: "SQS_QUEUE_URL", queueUrl: sqsQueueUrl },
    { name: waitingQueueSettings.sqsLedgerQueueUrl.env, queueUrl: ledger },
    { name: waitingQueueSettings.sqsChangesQueueUrl.env, queueUrl: changes },
  ];
  queues.forEach((queue, index) => {
    for (const before of queues.slice(0, index)) refuseSameQueue(queue, before);
  });
  return { ledger, changes };
}

type NamedQueue = { name: string; queueUrl: string };

function refuseSameQueue({ name, queueUrl }: NamedQueue, before: NamedQueue): void {
  if (queueUrl !== before.queueUrl) return;
  const text = `${name}=${JSON.stringify(queueUrl)} is the queue of ${before.name}; it must be another one`;
  throw new KeylineError("bad_settings", text, { path: name, value: queueUrl });
}
