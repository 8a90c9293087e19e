import { createPulsarAdmin } from "../../shared/adapters/pulsar-admin/pulsar-admin.ts";
import type { Topic } from "../../shared/ports/primary-queue.ts";

/** Bytes that a partitioned topic has in one copy, with what Pulsar adds to each message. */
export async function storedBytes(adminUrl: string, topic: Topic): Promise<number> {
  const path = `${topic.replace("://", "/")}/partitioned-stats`;
  return (await createPulsarAdmin(adminUrl).get<{ storageSize: number }>(path)).storageSize;
}
