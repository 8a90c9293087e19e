import { setUpTopics } from "../shared/adapters/pulsar-admin/set-up.ts";
import { healthNamespaceOf } from "../shared/runtime/topics.ts";
import type { RealStack } from "../test/support/real-stack.ts";

/** The same servers, with topics of their own. */
export async function withOwnTopics(
  stack: RealStack,
  namespace: string,
  partitions: number,
): Promise<RealStack> {
  const health = healthNamespaceOf(namespace);
  const setUp = async (subscription?: string) => {
    const names = { namespace, healthNamespace: health, ...(subscription ? { subscription } : {}) };
    await setUpTopics(stack.urls.admin, { partitions, ...names });
  };
  await setUp();
  return { ...stack, environment: { ...stack.environment, PULSAR_NAMESPACE: namespace }, subscribe: setUp };
}
