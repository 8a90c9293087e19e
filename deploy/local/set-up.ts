/**
 * Topics and queues for servers that run already; also a command for the compose file and for operators:
 * `PULSAR_ADMIN_URL=http://… SQS_ENDPOINT=http://… node deploy/local/set-up.ts`
 */
import { createQueues, localSqsClient } from "../../localstack/create-queues.ts";
import { setUpTopics } from "../../shared/adapters/pulsar-admin/set-up.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";

/**
 * Sets up the topics of a Pulsar and the queues of a LocalStack, and resolves with the queues' URLs by name.
 * @throws KeylineError `pulsar_admin_unavailable`, `pulsar_admin_refused`, or the AWS SDK's error.
 */
export async function setUpServers(
  pulsarAdminUrl: string,
  sqsEndpoint: string,
): Promise<Record<string, string>> {
  const client = localSqsClient(sqsEndpoint);
  try {
    const [queues] = await Promise.all([createQueues(client), setUpTopics(pulsarAdminUrl)]);
    return queues;
  } finally {
    client.destroy();
  }
}

if (import.meta.main) {
  const { PULSAR_ADMIN_URL, SQS_ENDPOINT } = process.env;
  if (!PULSAR_ADMIN_URL || !SQS_ENDPOINT) {
    const value = { PULSAR_ADMIN_URL, SQS_ENDPOINT };
    throw new KeylineError("config_invalid", "PULSAR_ADMIN_URL and SQS_ENDPOINT are both needed", { value });
  }
  console.log(JSON.stringify(await setUpServers(PULSAR_ADMIN_URL, SQS_ENDPOINT)));
}
