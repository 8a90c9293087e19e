/**
 * groupmq: a queue on Redis with a group for each user, of which one job at a time runs, in order. (BullMQ's own groups
 * are in BullMQ Pro, which is not on npm; without groups it keeps no order.) As its README and its worker options say:
 * the handler is I/O alone, so `concurrency` is several times the number of cores; a job has the update's identity as
 * `jobId`, so that a retry of `add` is no second job; `orderMs` is when it happened; `maxStalledCount`
 * is raised, as it says for critical jobs: by its default of 1 a job whose worker crashes is dropped at once, and what
 * waits behind it in its group stays. Time-out, attempts and the interval of that check (30 s) are the defaults. `autoBatch` is off, as it says for jobs that must not be lost.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Queue, Worker } from "groupmq";
import { Redis } from "ioredis";
import type { Update } from "../../shared/domain/envelope.ts";
import { type ConsumerTask, startConsumerProcess, untilLetGo } from "./consumer-process.ts";
import type { OpenPeer, Peer } from "./peer.ts";
import { openRedisProfiles } from "./redis-profiles.ts";
import { sendAll } from "./user-lines.ts";

const FILLED_AT_ONCE = 500;
const RETRY_AFTER_MS = 100;
/** Two to four times the cores for I/O, say its options, and more for a high volume. */
const CONCURRENCY = 16;
const MAX_STALLED_COUNT = 5;

export const groupmq: Peer = {
  name: "groupmq",
  async open(stack, run) {
    const profiles = openRedisProfiles(stack.urls.redis, run);
    const queue = openQueue(stack.urls.redis, run);
    const add = async (update: Update) => {
      const { userId, src, seq, at } = update;
      await queue.add({ groupId: userId, data: update, orderMs: at, jobId: `${userId} ${src} ${seq}` });
    };
    const publish = async (update: Update) => {
      for (;;) {
        try {
          return await add(update);
        } catch {
          await sleep(RETRY_AFTER_MS);
        }
      }
    };
    return {
      fill: (updates) => sendAll(updates, FILLED_AT_ONCE, add),
      startConsumer: ({ traced = false } = {}) =>
        startConsumerProcess(import.meta.url, { run, traced }, stack.environment),
      publish,
      async publishVisibly(update) {
        await publish(update);
        await profiles.untilThere(update.userId);
      },
      async waiting() {
        const { active, waiting, delayed } = await queue.getJobCounts();
        return active + waiting + delayed;
      },
      read: profiles.read,
      overlapped: profiles.overlapped,
      maxConsumers: 2,
      broker: stack.redis(),
      servers: { redis: stack.redis() },
      async close() {
        await queue.close();
        await profiles.close();
      },
    } satisfies OpenPeer;
  },
};

function openQueue(redisUrl: string, run: string): Queue<Update> {
  return new Queue<Update>({ redis: new Redis(redisUrl, { maxRetriesPerRequest: null }), namespace: run });
}

if (import.meta.main) await consume(JSON.parse(process.argv[2]!) as ConsumerTask);

async function consume({ run, traced = false }: ConsumerTask): Promise<void> {
  const profiles = openRedisProfiles(process.env.REDIS_URL!, run, traced);
  const countApplied = await untilLetGo();
  const worker = new Worker<Update>({
    queue: openQueue(process.env.REDIS_URL!, run),
    concurrency: CONCURRENCY,
    maxStalledCount: MAX_STALLED_COUNT,
    async handler({ data }) {
      await profiles.apply(data);
      countApplied();
    },
  });
  await worker.run();
}
