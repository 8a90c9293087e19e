import { expect, test } from "vitest";
import { readinessOf, type State } from "../../services/audience-update/readiness.ts";

const well: State = {
  storeProblem: undefined,
  definitionsLoaded: true,
  connected: { pulsar: true, sqs: true },
  unreachableQueues: [],
};
const ok = { store: "ok", definitions: "ok", pulsar: "ok", sqs: "ok" };

test("ready where all works", () => {
  expect(readinessOf(well)).toEqual({ ready: true, checks: ok });
});

test.each([true, false])(
  "ready while some of several SQS queues can't be reached, and says which",
  (pulsar) => {
    const unreachableQueues = ["http://h/b.fifo", "http://h/c.fifo"];
    expect(readinessOf({ ...well, connected: { pulsar, sqs: true }, unreachableQueues })).toEqual({
      ready: true,
      checks: {
        ...ok,
        pulsar: pulsar ? "ok" : "not connected",
        sqs: "can't receive from http://h/b.fifo and http://h/c.fifo",
      },
    });
  },
);

test.each([
  [{ connected: { pulsar: false, sqs: true } }, true, { pulsar: "not connected" }],
  [
    { connected: { pulsar: true, sqs: false }, unreachableQueues: ["http://h/a.fifo"] },
    true,
    { sqs: "not connected" },
  ],
  [{ connected: { pulsar: false, sqs: false } }, false, { pulsar: "not connected", sqs: "not connected" }],
  [{ storeProblem: "away" }, false, { store: "away" }],
  [{ definitionsLoaded: false }, false, { definitions: "not loaded yet" }],
])("of %j: ready is %s, with %j", (change, ready, checks) => {
  expect(readinessOf({ ...well, ...change })).toEqual({ ready, checks: { ...ok, ...checks } });
});
