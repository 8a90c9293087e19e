import { expect, test } from "vitest";
import { fuzz } from "./fuzz.ts";
import { fuzzedGateway } from "./gateway-subject.ts";
import { fuzzedService } from "./service-subject.ts";

const TO_GATEWAY = 10_000;
/** Each costs twice as much. */
const TO_SERVICE = 5_000;
const EXPECTED =
  "requests, most of them broken: no crash, no 5xx, nothing taken that is wrong, bounded memory";
// What is sent must not all end at the same refusal.
const REFUSALS = ["400", "401", "404", "409", "413", "415"];

test(`to the gateway ${TO_GATEWAY} ${EXPECTED}`, async () => {
  const { failure, byStatus, taken } = await fuzz(fuzzedGateway, { inputs: TO_GATEWAY, seed: 1 });
  expect(failure).toBeUndefined();
  expect(Object.keys(byStatus)).toEqual(
    expect.arrayContaining(["200", "201", "204", "429", "431", ...REFUSALS]),
  );
  expect(taken).toBeGreaterThan(TO_GATEWAY / 10);
}, 180_000);

test(`to the service ${TO_SERVICE} ${EXPECTED}`, async () => {
  const { failure, byStatus, taken } = await fuzz(fuzzedService, { inputs: TO_SERVICE, seed: 1 });
  expect(failure).toBeUndefined();
  expect(Object.keys(byStatus)).toEqual(expect.arrayContaining(["200", "201", "504", ...REFUSALS]));
  expect(taken).toBeGreaterThan(TO_SERVICE / 20);
}, 180_000);
