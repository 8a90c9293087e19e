/** The SQS queues where messages wait for their Pulsar topic, beside the queue that carries updates. */
import { KeylineError } from "../../shared/runtime/errors.ts";
import { urls, type Values } from "../../shared/runtime/settings.ts";
import { splitUrls, urlForm } from "../../shared/runtime/url-list.ts";

export const waitingQueueSettings = {
  sqsLedgerQueueUrl: urls({
    env: "SQS_LEDGER_QUEUE_URL",
    schemes: ["http", "https"],
    end: ".fifo",
    default: "",
    meaning:
      "the SQS FIFO queue, or several, where what came over SQS waits to be written to the Pulsar topic; when empty, each of `SQS_QUEUE_URL` with `-ledger` before its `.fifo`",
  }),
  sqsChangesQueueUrl: urls({
    env: "SQS_CHANGES_QUEUE_URL",
    schemes: ["http", "https"],
    end: ".fifo",
    default: "",
    meaning:
      "the SQS FIFO queue, or several, where membership changes wait to be written to the Pulsar topic `changes`; when empty, each of `SQS_QUEUE_URL` with `-changes` before its `.fifo`",
  }),
};

type QueueUrls = Values<typeof waitingQueueSettings> & { sqsQueueUrl: string };

/**
 * The URLs of the queues where messages wait for their Pulsar topic, each list given or made from that of the updates
 * queues.
 * @throws KeylineError `bad_settings` when a queue is in two of the three lists: what is in it would go round for
 * ever, or into a topic that is not its own.
 */
export function waitingQueueUrls(settings: QueueUrls): { ledger: string; changes: string } {
  const { sqsQueueUrl } = settings;
  const madeWith = (suffix: string) =>
    splitUrls(sqsQueueUrl)
      .map((queueUrl) => queueUrl.replace(/\.fifo$/, `-${suffix}.fifo`))
      .join(",");
  const ledger = settings.sqsLedgerQueueUrl || madeWith("ledger");
  const changes = settings.sqsChangesQueueUrl || madeWith("changes");
  const lists = [
    { name: "SQS_QUEUE_URL", queueUrls: splitUrls(sqsQueueUrl) },
    { name: waitingQueueSettings.sqsLedgerQueueUrl.env, queueUrls: splitUrls(ledger) },
    { name: waitingQueueSettings.sqsChangesQueueUrl.env, queueUrls: splitUrls(changes) },
  ];
  lists.forEach((list, index) => {
    for (const before of lists.slice(0, index)) refuseSharedQueue(list, before);
  });
  return { ledger, changes };
}

type NamedQueues = { name: string; queueUrls: readonly string[] };

function refuseSharedQueue({ name, queueUrls }: NamedQueues, before: NamedQueues): void {
  const taken = before.queueUrls.map(urlForm);
  const shared = queueUrls.find((queueUrl) => taken.includes(urlForm(queueUrl)));
  if (shared === undefined) return;
  const given = JSON.stringify(queueUrls.join(","));
  const queue = queueUrls.length === 1 ? "is the queue" : `holds ${JSON.stringify(shared)}, a queue`;
  const text = `${name}=${given} ${queue} of ${before.name}; it must be another one`;
  throw new KeylineError("bad_settings", text, { path: name, value: shared });
}
