import fastifyMultipart from "@fastify/multipart";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import Type from "typebox";
import { describeError, uncheckedBody } from "../../../shared/http/http-errors.ts";
import { refusePacked } from "../../../shared/http/packed-body.ts";
import { readRows } from "../../../shared/imports/read-rows.ts";
import { unpacked } from "../../../shared/imports/unpack.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import type { Acceptor } from "../accept.ts";
import { type ImportProgress, MAX_REPORTED_LINES, takeRows } from "../imports/take-rows.ts";
import { MAX_MAPPING_BYTES, type UploadedFile, uploadedFile } from "../imports/upload-parts.ts";
import { atMost } from "../imports/uploaded-bytes.ts";
import type { Tenant } from "../tenants/tenant.ts";
import type { TenantRegistry } from "../tenants/tenant-registry.ts";
import { Problem } from "./answer.ts";
import { authenticate, knownOnly } from "./authenticate.ts";
import { itemOf } from "./update-routes.ts";

export type ImportRouteOptions = {
  registry: Pick<TenantRegistry, "byWriteKey">;
  acceptor: Acceptor;
  /** Of a file, unpacked. */
  maxImportBytes: number;
};

const IDLE_MS = 60_000;
/** For an answer to be read by who is still sending. */
const LINGER_MS = 5_000;
const RETRY_AFTER_SECONDS = 1;

const Query = Type.Object(
  {
    importId: Type.String({
      ...{ minLength: 1, maxLength: 128 },
      description: "identifies the import: the same row at the same line of it has the same id each time",
    }),
    fromLine: Type.Optional(
      // An integer would be made of 2.9.
      Type.Number({
        ...{ minimum: 1, multipleOf: 1 },
        description: "rows before it are passed over: nextLine of an earlier answer",
      }),
    ),
  },
  { additionalProperties: false },
);

const Body = Type.Object({
  mapping: Type.Optional(
    Type.String({ description: "how a row becomes an update, in YAML or JSON; before the file" }),
  ),
  file: Type.String({ format: "binary", description: "CSV or NDJSON, perhaps gzip" }),
});

const Answer = Type.Object({
  success: Type.Boolean({ description: "the file was read to its end, and every row taken" }),
  lines: Type.Integer({ description: "of the file that are settled" }),
  accepted: Type.Integer(),
  refused: Type.Integer(),
  report: Type.Array(
    Type.Object({
      line: Type.Integer(),
      code: Type.String(),
      path: Type.Optional(Type.String({ description: "the column, or the place in the update" })),
      value: Type.Optional(Type.String()),
      message: Type.String(),
    }),
    { description: `the first ${MAX_REPORTED_LINES} refused rows` },
  ),
  nextLine: Type.Integer({ description: "everything before it is settled" }),
  error: Type.Optional(Problem),
});

/** POST /v1/imports: a file's rows as updates, answered once all of them are durable or refused. */
export async function addImportRoutes(server: FastifyInstance, options: ImportRouteOptions): Promise<void> {
  const closing = new AbortController();
  server.addHook("preClose", async () => {
    const message = "this gateway is closing, another one goes on from nextLine";
    closing.abort(new KeylineError("gateway_closing", message, { retryable: true }));
  });
  // By itself, so that no other route takes such bodies.
  await server.register(async (own) => {
    own.removeAllContentTypeParsers();
    const { maxImportBytes } = options;
    await own.register(fastifyMultipart, {
      // Its length is refused by its unpacked bytes, before this; what is over the two parts, by its name.
      limits: { fileSize: 2 * maxImportBytes, fieldSize: MAX_MAPPING_BYTES, files: 3, fields: 3, parts: 3 },
    });
    addRoute(own, options, closing.signal);
  });
}

function addRoute(server: FastifyInstance, options: ImportRouteOptions, closing: AbortSignal): void {
  const { registry } = options;
  server.withTypeProvider<TypeBoxTypeProvider>().post(
    "/v1/imports",
    {
      schema: {
        summary: "A file of CSV or NDJSON, each row an update on the bulk path",
        consumes: ["multipart/form-data"],
        ...{ querystring: Query, body: Body, response: { 200: Answer }, security: [{ writeKey: [] }] },
      },
      validatorCompiler: uncheckedBody,
      // The parts are read from the connection as they come; the file itself may be gzip.
      onRequest: [refusePacked, knownOnly(registry, { mayBeInBody: false })],
      config: { errors: [400, 401, 408, 413, 415, 503], mediaType: "multipart/form-data", mayTakeLong: true },
    },
    async (request, reply) => {
      const tenant = authenticate(request, registry);
      discardRest(request, reply);
      const gone = new AbortController();
      reply.raw.once("close", () => gone.abort(new KeylineError("caller_left", "the caller left")));
      const signal = AbortSignal.any([closing, gone.signal]);
      const upload = await uploadedFile(request, { idleMs: IDLE_MS, signal });
      const { error, ...progress } = await takeUpload(upload, {
        ...options,
        ...request.query,
        tenant,
        signal,
      });
      if (error) return answerBroken(request, reply, error, progress);
      return reply.send({ success: progress.refused === 0, ...progress });
    },
  );
}

async function takeUpload(
  { bytes, format, assertLast }: UploadedFile,
  options: Pick<ImportRouteOptions, "acceptor" | "maxImportBytes"> &
    Type.Static<typeof Query> & { tenant: Tenant; signal: AbortSignal },
): Promise<ImportProgress & { error?: KeylineError }> {
  const { acceptor, importId, fromLine = 1, tenant, maxImportBytes, signal } = options;
  const progress = { lines: fromLine - 1, accepted: 0, refused: 0, report: [], nextLine: fromLine };
  let endLine = 1;
  const rows = readRows({
    ...{ bytes: atMost(unpacked(bytes), maxImportBytes), format, importId },
    onRead: ({ line }) => {
      endLine = line;
    },
  });
  try {
    await takeRows({
      ...{ rows, tenant, acceptor, progress, fromLine, signal },
      itemOf: (update) => itemOf(tenant, update, "update"),
      endLine: () => endLine,
    });
    await assertLast();
    return progress;
  } catch (thrown) {
    // A wait that was cut short says only that it was.
    const error = signal.aborted ? signal.reason : thrown;
    if (!(error instanceof KeylineError)) throw error;
    return { ...progress, error };
  }
}

/** As every error is answered, and with it how far the file was taken. */
function answerBroken(
  request: FastifyRequest,
  reply: FastifyReply,
  error: KeylineError,
  progress: ImportProgress,
): FastifyReply {
  if (error.retryable) reply.header("retry-after", RETRY_AFTER_SECONDS);
  const { body } = describeError(error as unknown as FastifyError, request);
  return reply.code(statusOf(error)).send({ success: false, ...progress, error: body });
}

function statusOf({ code, retryable }: KeylineError): number {
  if (retryable) return 503;
  if (code === "too_large") return 413;
  return code === "upload_stalled" ? 408 : 400;
}

/** An answer before the end of the file: its reader has left, so that nobody would take the rest of the connection. */
function discardRest({ raw }: FastifyRequest, reply: FastifyReply): void {
  reply.raw.once("finish", () => {
    if (raw.complete) return;
    raw.unpipe();
    raw.resume();
    const cut = setTimeout(() => raw.destroy(), LINGER_MS).unref();
    const stay = () => clearTimeout(cut);
    raw.once("end", stay).once("close", stay);
  });
}
