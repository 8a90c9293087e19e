import { GetQueueAttributesCommand } from "@aws-sdk/client-sqs";
import { localSqsClient } from "../../localstack/create-queues.ts";
import { getJson } from "./get-json.ts";
import type { RealStack } from "./real-stack.ts";

/** Updates that neither queue has had acknowledged yet. */
export async function undelivered({ urls, environment }: RealStack): Promise<number> {
  const statistics = (await getJson(
    `${urls.admin}/admin/v2/persistent/public/keyline/updates/partitioned-stats`,
  )) as { subscriptions: Record<string, { msgBacklog: number }> };
  const sqs = localSqsClient(urls.sqs);
  const { Attributes = {} } = await sqs.send(
    new GetQueueAttributesCommand({
      QueueUrl: environment.SQS_QUEUE_URL,
      AttributeNames: ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    }),
  );
  sqs.destroy();
  const queued = Object.values(Attributes).reduce((sum, count) => sum + Number(count), 0);
  return statistics.subscriptions["audience-update"]!.msgBacklog + queued;
}
