import { expect, test } from "vitest";
import { fuzz } from "./fuzz.ts";

const INPUTS = 10_000;

test(`${INPUTS} requests, most of them broken: no crash, no 5xx, nothing taken that is wrong, bounded memory`, async () => {
  const { failure, byStatus, updates } = await fuzz({ inputs: INPUTS, seed: 1 });
  expect(failure).toBeUndefined();
  // What is sent must not all end at the same refusal.
  expect(Object.keys(byStatus)).toEqual(
    expect.arrayContaining(["200", "201", "204", "400", "401", "404", "409", "413", "415", "429", "431"]),
  );
  expect(updates).toBeGreaterThan(INPUTS / 10);
}, 180_000);
