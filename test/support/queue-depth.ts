import { GetQueueAttributesCommand } from "@aws-sdk/client-sqs";
import { localSqsClient } from "../../localstack/create-queues.ts";

/** How many messages an SQS queue of a local endpoint holds, those that somebody has received included. */
export async function messagesIn(queueUrl: string): Promise<number> {
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
