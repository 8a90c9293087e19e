import { inject } from "vitest";
import type { Topic } from "../../shared/ports/primary-queue.ts";

/** Pulsar's admin API by hand: creates a partitioned topic, adds partitions to it, or deletes it with its data. */
export const partitions = {
  create: (topic: Topic, count: number) => request("PUT", topic, "", String(count)),
  growTo: (topic: Topic, count: number) => request("POST", topic, "", String(count)),
  remove: (topic: Topic) => request("DELETE", topic, "?force=true"),
};

async function request(
  method: "PUT" | "POST" | "DELETE",
  topic: Topic,
  query: string,
  body: string | null = null,
): Promise<void> {
  const url = `${inject("servers").pulsarAdminUrl}/admin/v2/${topic.replace("://", "/")}/partitions${query}`;
  const response = await fetch(url, { method, headers: { "content-type": "application/json" }, body });
  if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${await response.text()}`);
}
