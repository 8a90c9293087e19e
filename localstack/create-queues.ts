import {
  CreateQueueCommand,
  GetQueueUrlCommand,
  QueueDoesNotExist,
  SetQueueAttributesCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import declared from "./queues.json" with { type: "json" };

/** The name of the queue that carries updates while Pulsar is away. */
export const updatesQueueName = declared.queues[0]!.name;

/** LocalStack takes any credentials and any region, but the SDK wants to have some. */
export const localAwsEnvironment = {
  AWS_REGION: "us-east-1",
  AWS_ACCESS_KEY_ID: "test",
  AWS_SECRET_ACCESS_KEY: "test",
} as const;

/** A client for a local endpoint such as LocalStack's; to be destroyed by the caller. */
export function localSqsClient(endpoint: string): SQSClient {
  return new SQSClient({
    endpoint,
    region: localAwsEnvironment.AWS_REGION,
    credentials: {
      accessKeyId: localAwsEnvironment.AWS_ACCESS_KEY_ID,
      secretAccessKey: localAwsEnvironment.AWS_SECRET_ACCESS_KEY,
    },
  });
}

/**
 * Makes the queues of queues.json, or gives those that exist its attributes. Resolves with their URLs by name.
 * @throws the SDK's error when SQS refuses or does not answer.
 */
export async function createQueues(client: SQSClient): Promise<Record<string, string>> {
  const urls = declared.queues.map(async (queue) => [queue.name, await createQueue(client, queue.name)]);
  return Object.fromEntries(await Promise.all(urls));
}

/**
 * Makes one queue with the attributes of the updates queue, or updates it, and resolves with its URL. A test
 * that wants a queue of its own passes a name of its own, ending in `.fifo`.
 */
export async function createQueue(client: SQSClient, name: string = updatesQueueName): Promise<string> {
  const attributes = (declared.queues.find((queue) => queue.name === name) ?? declared.queues[0]!).attributes;
  const existing = await queueUrl(client, name);
  if (existing === undefined) {
    const created = await client.send(new CreateQueueCommand({ QueueName: name, Attributes: attributes }));
    return created.QueueUrl!;
  }
  // A queue is FIFO from its creation on or never; saying it again is refused.
  const { FifoQueue: _, ...changeable } = attributes;
  await client.send(new SetQueueAttributesCommand({ QueueUrl: existing, Attributes: changeable }));
  return existing;
}

async function queueUrl(client: SQSClient, name: string): Promise<string | undefined> {
  try {
    return (await client.send(new GetQueueUrlCommand({ QueueName: name }))).QueueUrl;
  } catch (thrown) {
    if (thrown instanceof QueueDoesNotExist) return undefined;
    throw thrown;
  }
}
