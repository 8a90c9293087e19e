import type { Readiness } from "../../shared/http/health-routes.ts";
import type { Path } from "../../shared/ports/update-queue.ts";

export type State = {
  storeProblem: string | undefined;
  definitionsLoaded: boolean;
  connected: Record<Path, boolean>;
  unreachableQueues: readonly string[];
};

/**
 * One path is enough, and of several SQS queues one: whoever takes a process away that still applies updates makes
 * those late too, and helps no queue. What does not work is told of all the same.
 */
export function readinessOf({
  storeProblem,
  definitionsLoaded,
  connected: { pulsar, sqs },
  unreachableQueues,
}: State): Readiness {
  const sqsProblem =
    unreachableQueues.length > 0 ? `can't receive from ${unreachableQueues.join(" and ")}` : "ok";
  return {
    ready: storeProblem === undefined && definitionsLoaded && (pulsar || sqs),
    checks: {
      store: storeProblem ?? "ok",
      definitions: definitionsLoaded ? "ok" : "not loaded yet",
      pulsar: pulsar ? "ok" : "not connected",
      sqs: sqs ? sqsProblem : "not connected",
    },
  };
}
