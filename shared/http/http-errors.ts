/** Every error of the HTTP server has one shape: `{"error":{"code","message","path"?,"value"?}}`. */
import { TypeBoxValidatorCompiler } from "@fastify/type-provider-typebox";
import type { FastifyError, FastifyRequest, FastifySchemaCompiler, RouteOptions } from "fastify";
import Type from "typebox";
import type { DefinitionProblem } from "../domain/definitions/problem.ts";
import { quote } from "../domain/refusal.ts";
import { descriptionOf, knownNames, locate, messageOf } from "../domain/schema-error.ts";
import { KeylineError } from "../runtime/errors.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** The statuses of errors that the route may answer with, for OpenAPI. */
    errors?: readonly (400 | 401 | 404 | 408 | 409 | 413 | 415 | 429 | 503 | 504)[];
    /** Of its body; by default application/json. */
    mediaType?: string;
    /** The request may come more slowly than others; the route itself ends one that stalls. */
    mayTakeLong?: true;
  }
}

export const BODY_LIMIT_BYTES = 65_536;

type Position = { start: number; end: number };
export type ErrorBody = {
  code: string;
  message: string;
  path?: string;
  value?: string;
  position?: Position;
  usedBy?: string[];
  retryable?: true;
};

/** What someone wants to define is refused; says where in an expression it is, and who needs it. */
export class DefinitionRefused extends KeylineError {
  readonly position: Position | undefined;
  readonly usedBy: string[] | undefined;

  constructor({ problem, message, path, value, position, usedBy }: DefinitionProblem) {
    super(problem, `${path}: ${message}`, { path, value });
    this.position = position;
    this.usedBy = usedBy;
  }
}

/** What a caller did wrong: nobody reads where that was found, and a stack takes a tenth of the time of a refusal. */
class WithoutStack extends KeylineError {
  constructor(...args: ConstructorParameters<typeof KeylineError>) {
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(...args);
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** A part of a request is refused; its value is as `refuse` gives it, quoted and cut. */
export class Refused extends WithoutStack {}

/** Too much came; the same may come again after a time. */
export class Throttled extends WithoutStack {
  readonly retryAfterMs: number;

  constructor(message: string, details: { retryAfterMs: number; path: string; value: unknown }) {
    super("over_quota", message, { ...details, retryable: true });
    this.retryAfterMs = details.retryAfterMs;
  }
}

const ErrorResponse = Type.Object({
  error: Type.Object({
    code: Type.String({ description: "stable" }),
    message: Type.String(),
    path: Type.Optional(Type.String({ description: "what is wrong" })),
    value: Type.Optional(
      Type.String({ description: "what it was as JSON, perhaps cut; left out where it is missing" }),
    ),
    position: Type.Optional(
      Type.Object(
        { start: Type.Integer(), end: Type.Integer() },
        { description: "where in an expression it is, in characters from 0 on" },
      ),
    ),
    usedBy: Type.Optional(
      Type.Array(Type.String(), {
        description: "definition_in_use: who reads it, such as `audiences.regulars`",
      }),
    ),
    retryable: Type.Optional(Type.Literal(true, { description: "the same call may succeed later" })),
  }),
});

const statusOfCode: Record<string, number> = {
  unauthorised: 401,
  user_not_found: 404,
  attribute_not_found: 404,
  audience_not_found: 404,
  definition_not_found: 404,
  definition_in_use: 409,
  store_unavailable: 503,
  definitions_unreadable: 503,
  profile_unreadable: 503,
  definitions_not_loaded: 503,
  definitions_busy: 503,
  too_many_waiting: 503,
  update_not_visible: 504,
  caller_left: 503,
  invalid_request: 400,
  invalid_definition: 400,
  definition_cycle: 400,
  definitions_too_large: 400,
  invalid_update: 400,
  too_large: 413,
  unsupported_media_type: 415,
  over_quota: 429,
  tenant_not_found: 404,
  tenant_changed: 409,
  write_key_not_found: 404,
  write_key_taken: 409,
  write_keys_full: 409,
  tenants_busy: 503,
  tenants_not_loaded: 503,
  schema_too_large: 400,
  settings_busy: 503,
  schema_busy: 503,
  schema_unreadable: 503,
  schemas_not_loaded: 503,
  publisher_full: 503,
  gateway_full: 503,
  bad_mapping: 400,
  no_mapping: 400,
  unknown_format: 400,
  upload_broken: 400,
  upload_stalled: 408,
};

const EXPECTED = new Set([
  "publisher_full",
  "gateway_full",
  "tenants_not_loaded",
  "schemas_not_loaded",
  "definitions_not_loaded",
  "update_not_visible",
  "too_many_waiting",
  "caller_left",
]);

/** A failure of the service's own or its stores', not of what a caller waits for. */
export function isWorthALine(error: FastifyError, status: number): boolean {
  return status >= 500 && !EXPECTED.has(error.code);
}

const checkedBySchema: FastifySchemaCompiler<Type.TSchema> = TypeBoxValidatorCompiler;

/** For routes that check their body themselves: its schema is for OpenAPI. */
export const uncheckedBody: FastifySchemaCompiler<Type.TSchema> = (route) =>
  // No body comes as null.
  route.httpPart === "body" ? (value) => ({ value: value ?? undefined }) : checkedBySchema(route);

/** An `onRoute` hook: puts the errors that a route names into its schema. */
export function documentErrors(route: RouteOptions): void {
  const { errors } = route.config ?? {};
  if (!route.schema || !errors) return;
  route.schema.response = {
    ...(route.schema.response as object | undefined),
    ...Object.fromEntries(errors.map((status) => [status, ErrorResponse])),
  };
}

const NO_QUERY = Type.Object({}, { additionalProperties: false });

/** An `onRoute` hook: a route of the API that names no query parameters refuses all; probes may send what they like. */
export function refuseUnknownQueries(route: RouteOptions): void {
  if (route.schema && /^\/(v1|admin)\//.test(route.url)) route.schema.querystring ??= NO_QUERY;
}

export function describeError(
  error: FastifyError,
  request: FastifyRequest,
): { status: number; body: ErrorBody } {
  if (error instanceof KeylineError) {
    const { code, message, path, value } = error;
    const body: ErrorBody = { code, message };
    if (path !== undefined) body.path = path;
    if (value !== undefined)
      body.value =
        error instanceof DefinitionRefused || error instanceof Refused ? String(value) : quote(value);
    if (error instanceof DefinitionRefused) {
      if (error.position !== undefined) body.position = error.position;
      if (error.usedBy !== undefined) body.usedBy = error.usedBy;
    }
    if (error.retryable) body.retryable = true;
    return { status: statusOfCode[code] ?? 500, body };
  }
  if (error.validation) return { status: 400, body: describeValidation(error, request) };
  const status = error.statusCode ?? 500;
  if (status < 500) return { status, body: describeRefusal(error, request) };
  return { status, body: { code: "internal_error", message: "an unexpected error; the log has it" } };
}

/** What the server refuses before a route sees it. */
function describeRefusal(error: FastifyError, request: FastifyRequest): ErrorBody {
  switch (error.code) {
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE": {
      const { mediaType = "application/json" } = request.routeOptions.config;
      const message = `content-type: must be ${mediaType}`;
      const value = request.headers["content-type"];
      const given = value === undefined ? {} : { value: quote(value) };
      return { code: "unsupported_media_type", message, path: "content-type", ...given };
    }
    case "FST_ERR_CTP_BODY_TOO_LARGE": {
      const value = request.headers["content-length"];
      const message = `body: longer than ${request.routeOptions.bodyLimit ?? BODY_LIMIT_BYTES} bytes`;
      return { code: "too_large", message, path: "body", ...(value === undefined ? {} : { value }) };
    }
    default:
      return { code: "invalid_request", message: `body: ${error.message}`, path: "body" };
  }
}

type ValidatedPart = "body" | "params" | "querystring";

function describeValidation(error: FastifyError, request: FastifyRequest): ErrorBody {
  const [problem] = error.validation ?? [];
  const part = (error.validationContext ?? "body") as ValidatedPart;
  const { keys, missing, found } = locate(problem, part === "querystring" ? request.query : request[part]);
  const where = keys.join(".") || part;
  const schema = request.routeOptions.schema?.[part];
  let message = messageOf(problem);
  if (missing) message = "is required";
  // Of parameters the description is their form; of a body's members it may be anything.
  else if (part === "params" && problem?.keyword === "pattern")
    message = `must be ${descriptionOf(schema, keys)}`;
  else if (problem?.keyword === "boolean")
    message = `is not known here; ${knownNames(schema, keys.slice(0, -1))}`;
  else if (part === "querystring" && Array.isArray(found)) message = "is given twice";
  const body: ErrorBody = { code: "invalid_request", message: `${where}: ${message}`, path: where };
  if (found !== undefined && keys.length > 0) body.value = quote(found);
  return body;
}
