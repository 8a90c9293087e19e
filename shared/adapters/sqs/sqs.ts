/** The fallback queue by SQS FIFO: AWS itself, LocalStack, ElasticMQ, or anything that speaks its protocol. */
import { QueueDoesNotExist, SQSClient, type SQSClientConfig } from "@aws-sdk/client-sqs";
import type { FallbackConsumer, Producer, UpdateQueue } from "../../ports/update-queue.ts";
import { KeylineError } from "../../runtime/errors.ts";
import { problemOfUrls, splitUrls } from "../../runtime/url-list.ts";
import { createSqsConsumer } from "./sqs-consumer.ts";
import { createPackProgress } from "./sqs-pack-progress.ts";
import { createSqsPacks } from "./sqs-packs.ts";
import { createSqsProducer } from "./sqs-producer.ts";
import { createSqsRequests, type SqsRequests } from "./sqs-requests.ts";
import { createSqsSends } from "./sqs-sends.ts";

export type SqsOptions = {
  /**
   * The URL of a FIFO queue, as SQS gives it; or several, separated by commas. A key's messages always go to the queue
   * that a hash of it picks, by its place in the list, so that each queue keeps the order of its own keys. Consumers
   * receive from all.
   */
  queueUrl: string;
  /** Default: what an AWS queue URL says, else the AWS SDK's own (AWS_REGION, the shared config file). */
  region?: string;
  /** Where to send requests. Default: the queue URL's origin, or for AWS what the SDK says. */
  endpoint?: string;
  /** Default: the AWS SDK's own chain (environment, profile, container or instance role). */
  credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
  /**
   * Up to 100 messages travel as one of SQS's, which costs a tenth of the requests. Neither the order of a key nor the
   * deduplication is kept then, and what of a pack was not acknowledged brings all of it again: to the same process
   * without what it has acknowledged, to any other with it. Consumers receive packs whatever this says.
   */
  packed?: boolean;
  /** Messages of one producer that are not yet answered; one more is refused with `queue_send_refused`. */
  maxPending: number;
  /** A send without an answer for this long is rejected; also the deadline of deletes and extensions. */
  sendTimeoutMs: number;
  /** Bytes in one batch, bodies and attributes together. Default 262,144, which every SQS takes. */
  maxBatchBytes?: number;
  /** Characters that the server takes in no text. Default: those that SQS refuses. */
  refusedCharacters?: RegExp;
  /** Requests at each queue at once, for sending and again for deleting. Default 16. */
  maxConcurrentRequests?: number;
  /** Long polls at each queue at once, per consumer. */
  pollers: number;
  /** Seconds that a poll waits for a first message, 0 to 20. Default 20. */
  longPollSeconds?: number;
  /** Messages that a consumer holds before `receive` takes them; polls under way may bring a pack instead of each. */
  maxPrefetched: number;
  /** Messages of SQS that a consumer has received and not yet deleted. Default 10,000; SQS has a limit a queue. */
  maxUnacknowledged?: number;
  /** How long SQS hides a received message from others; extended while the consumer holds it. */
  visibilityTimeoutSeconds: number;
  /** Told of failing polls, deletes and extensions, which the adapter repeats or gives up by itself. */
  onError?: (error: Error) => void;
};

export type SqsQueue = UpdateQueue & {
  /**
   * Looks for what every request is signed with, so that a missing one shows at the start and not in an outage.
   * Rejects with KeylineError `no_aws_region` or `no_aws_credentials`.
   */
  checkIdentity(): Promise<void>;
  /**
   * Rejects with KeylineError `sqs_queue_missing` when SQS says that there is no such queue, naming the first that is
   * missing; what else keeps SQS from answering is no reason.
   */
  checkExists(): Promise<void>;
  /**
   * How many messages of SQS are in the queue, in all of several, those that somebody has received included; about, as SQS counts them.
   * Rejects as `Producer.send`.
   */
  waiting(): Promise<number>;
};

/**
 * Opens nothing: SQS has no connections to keep.
 * @throws KeylineError `bad_sqs_queue_url` when a URL is not that of a FIFO queue, or names one for the second time.
 */
export function createSqs(options: SqsOptions): SqsQueue {
  const { sendTimeoutMs, maxConcurrentRequests = 16 } = options;
  const queues = queueUrlsOf(options.queueUrl).map((queueUrl) => openQueue(queueUrl, options));
  const requests = queues.map((queue) => queue.requests);
  const progress = createPackProgress();
  const open = new Set<Producer | FallbackConsumer>();

  function closing<T extends Producer | FallbackConsumer>(part: T): T {
    open.add(part);
    const close = async () => {
      await part.close();
      open.delete(part);
    };
    return { ...part, close };
  }

  return {
    path: "sqs",
    description: `SQS FIFO at ${queues.map(({ address }) => address).join(" and ")}`,
    producer() {
      const { maxPending, maxBatchBytes = 262_144, refusedCharacters } = options;
      const bounds = { maxPending, sendTimeoutMs, maxBatchBytes, maxConcurrentRequests, refusedCharacters };
      const producer = options.packed
        ? createSqsProducer(
            requests.map((each) => createSqsPacks(each, bounds)),
            bounds,
          )
        : createSqsProducer(
            requests.map((each) => createSqsSends(each, bounds)),
            bounds,
          );
      return closing(producer);
    },
    consumer() {
      const defaults = { longPollSeconds: 20, maxUnacknowledged: 10_000, onError: () => {} };
      return closing(
        createSqsConsumer(requests, { ...defaults, ...options, maxConcurrentRequests }, progress),
      );
    },
    async checkIdentity() {
      for (const queue of queues) await checkIdentity(queue);
    },
    async checkExists() {
      await Promise.all(queues.map(checkExists));
    },
    async waiting() {
      const counts = await Promise.all(requests.map(({ count }) => count()));
      return counts.reduce((sum, count) => sum + count, 0);
    },
    async close() {
      await Promise.all([...open].map((part) => part.close()));
      for (const { client } of queues) client.destroy();
    },
  };
}

/** One of the queues. Each has a client of its own: they may be in several regions. */
type Queue = { queueUrl: string; client: SQSClient; requests: SqsRequests; address: string };

function openQueue(queueUrl: string, options: SqsOptions): Queue {
  const url = new URL(queueUrl);
  const endpoint = options.endpoint ?? (isAws(url) ? undefined : url.origin);
  const client = createClient(options, url, endpoint);
  const requests = createSqsRequests(client, queueUrl, options.sendTimeoutMs);
  return { queueUrl, client, requests, address: `${endpoint ?? url.origin}${url.pathname}` };
}

async function checkIdentity({ client, queueUrl }: Queue): Promise<void> {
  await client.config.region().catch((cause: unknown) => {
    throw new KeylineError("no_aws_region", `no AWS region for ${queueUrl}: set AWS_REGION`, { cause });
  });
  await client.config.credentials().catch((cause: unknown) => {
    const text = `no AWS credentials for ${queueUrl}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give a role`;
    throw new KeylineError("no_aws_credentials", text, { cause });
  });
}

async function checkExists({ requests, queueUrl }: Queue): Promise<void> {
  await requests.count().catch((thrown: KeylineError) => {
    if (!(thrown.cause instanceof QueueDoesNotExist)) return;
    const text = `there is no queue ${queueUrl}: create it, a FIFO queue as the one for updates`;
    throw new KeylineError("sqs_queue_missing", text, { value: queueUrl, cause: thrown });
  });
}

function createClient(options: SqsOptions, url: URL, endpoint: string | undefined): SQSClient {
  const { pollers, maxConcurrentRequests = 16, credentials } = options;
  const region = options.region ?? awsRegion(url);
  const agent = { keepAlive: true, maxSockets: pollers + 3 * maxConcurrentRequests };
  const config: SQSClientConfig = {
    // The SDK would hash each body again to compare; TLS and TCP have checksums of their own.
    md5: false,
    // The publisher repeats by itself, on the other path if need be.
    maxAttempts: 2,
    requestHandler: { httpAgent: agent, httpsAgent: agent, connectionTimeout: options.sendTimeoutMs },
  };
  if (region !== undefined) config.region = region;
  if (endpoint !== undefined) config.endpoint = endpoint;
  if (credentials !== undefined) config.credentials = credentials;
  return new SQSClient(config);
}

function queueUrlsOf(text: string): string[] {
  const urls = splitUrls(text);
  const problem = urls.length > 1 ? problemOfUrls(text) : undefined;
  if (problem !== undefined) throw badQueueUrl(text, problem);
  const wrong = urls.find((url) => !isFifoQueueUrl(url));
  if (wrong !== undefined) throw badQueueUrl(wrong, "is not the URL of an SQS FIFO queue (https://…/….fifo)");
  return urls;
}

function badQueueUrl(value: string, problem: string): KeylineError {
  return new KeylineError("bad_sqs_queue_url", `${JSON.stringify(value)} ${problem}`, { value });
}

function isFifoQueueUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url !== undefined && /^https?:$/.test(url.protocol) && url.pathname.endsWith(".fifo");
}

function isAws(url: URL): boolean {
  return /\.(amazonaws\.com(\.cn)?|api\.aws)$/.test(url.hostname);
}

function awsRegion(url: URL): string | undefined {
  return isAws(url) ? /(?:^|\.)sqs(?:-fips)?\.([a-z0-9-]+)\./.exec(url.hostname)?.[1] : undefined;
}
