import { expect, test } from "vitest";
import { compileDefinitions } from "../../shared/domain/definitions/compile.ts";
import {
  NO_TENANT_DEFINITIONS,
  replaceDefinitions,
} from "../../shared/domain/definitions/tenant-definitions.ts";

const spend = { event: "order", aggregate: "sum", of: "amount" };

function problemOf(rule: string): unknown {
  const document = replaceDefinitions(
    NO_TENANT_DEFINITIONS,
    { attributes: { spend }, audiences: { a: { rule } } },
    Date.UTC(2026, 5, 1),
  );
  return "problem" in document ? document : compileDefinitions(document);
}

test("a whole number beside a double is told how it is written", () => {
  expect(problemOf("spend * 2 > 100.0")).toMatchObject({
    problem: "invalid_definition",
    path: "audiences.a.rule",
    message: expect.stringMatching(/no such overload: double \* int; .* write 2\.0 for 2.* at character 1$/),
    position: { start: 0, end: 9 },
  });
});

test("another wrong type has no such advice", () => {
  expect(problemOf("spend + true > 1.0")).toMatchObject({
    message: "no such overload: double + bool at character 1",
  });
});
