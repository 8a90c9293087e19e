import type { FastifyReply } from "fastify";
import Type from "typebox";
import { quote } from "../../../shared/domain/refusal.ts";
import type { Receipt } from "../../../shared/publish/publisher.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import type { ItemResult } from "../accept.ts";

export const Problem = Type.Object({
  code: Type.String({ description: "stable" }),
  message: Type.String(),
  path: Type.Optional(Type.String({ description: "what is wrong" })),
  value: Type.Optional(Type.String({ description: "what it was as JSON, perhaps cut" })),
  retryable: Type.Optional(Type.Literal(true, { description: "the same may be taken later" })),
});

/** One item of a request: what it is known by, or why it was not taken. */
const ItemAnswer = Type.Union([
  Type.Object({
    id: Type.String({ description: "the update's: the caller's, or one made here" }),
    path: Type.Enum(["pulsar", "sqs"], { description: "which has it durably" }),
  }),
  Type.Object({ error: Problem }),
]);

export const Answer = Type.Object({
  success: Type.Boolean({ description: "all of them were taken" }),
  accepted: Type.Integer(),
  results: Type.Array(ItemAnswer, { description: "in the order of the request" }),
});

/** Sent with 503: clients wait this long at least. */
const RETRY_AFTER_SECONDS = 1;

/**
 * 200 where something was taken and nothing is worth another try, 503 where neither path took an item (what was taken
 * counts once when it comes again under its id), 400 where all were refused.
 */
export function answer(reply: FastifyReply, results: readonly ItemResult[]): FastifyReply {
  const errors = results.filter((result) => result instanceof KeylineError);
  const accepted = results.length - errors.length;
  const body = { success: errors.length === 0, accepted, results: results.map(itemOf) };
  if (errors.some(({ retryable }) => retryable))
    return reply
      .code(503)
      .header("retry-after", RETRY_AFTER_SECONDS)
      .send({ ...body, ...firstOf(errors) });
  if (accepted === 0 && errors.length > 0) {
    const status = errors.every(({ code }) => code === "too_large") ? 413 : 400;
    return reply.code(status).send({ ...body, ...firstOf(errors) });
  }
  return reply.code(200).send(body);
}

/** As every other error is answered, for clients that look at nothing else. */
function firstOf(errors: readonly KeylineError[]): { error: object } {
  return { error: problemOf(errors.find(({ retryable }) => retryable) ?? errors[0]!) };
}

function itemOf(result: Receipt | KeylineError): object {
  if (result instanceof KeylineError) return { error: problemOf(result) };
  const { id, path } = result;
  return { id, path };
}

function problemOf({ code, message, path, value, retryable }: KeylineError): object {
  return {
    code,
    message,
    ...(path === undefined ? {} : { path }),
    // Of what is missing a refusal says that it is undefined.
    ...(value === undefined || value === "undefined"
      ? {}
      : { value: typeof value === "string" ? value : quote(value) }),
    ...(retryable ? { retryable } : {}),
  };
}
