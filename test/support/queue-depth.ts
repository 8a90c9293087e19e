import { GetQueueAttributesCommand } from "@aws-sdk/client-sqs";
import { localSqsClient } from "../../localstack/create-queues.ts";
import { splitUrls } from "../../shared/runtime/url-list.ts";

/**
 * How many messages an SQS queue of a local endpoint holds, those that somebody has received included; of several, by
 * their URLs with commas between them, all of them together.
 */
export async function messagesIn(queueUrls: string): Promise<number> {
  const counts = await Promise.all(splitUrls(queueUrls).map(messagesInOne));
  return counts.reduce((sum, count) => sum + count, 0);
}

async function messagesInOne(queueUrl: string): Promise<number> {
  const sqs = localSqsClient(new URL(queueUrl).origin);
  try {
    const { Attributes = {} } = await sqs.send(
      new GetQueueAttributesCommand({
        QueueUrl: queueUrl,
        AttributeNames: ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
      }),
    );
    return Object.values(Attributes).reduce((sum, count) => sum + Number(count), 0);
  } finally {
    sqs.destroy();
  }
}
