import type { ServerResponse } from "node:http";
import fastifySwagger from "@fastify/swagger";
import { TypeBoxValidatorCompiler } from "@fastify/type-provider-typebox";
import { type FastifyBaseLogger, type FastifyError, type FastifyInstance, fastify } from "fastify";
import { KeylineError } from "../runtime/errors.ts";
import type { Log } from "../runtime/log.ts";
import { answerBadUrl, answerToBrokenRequest, answerUnmetExpectation } from "./bare-answers.ts";
import {
  BODY_LIMIT_BYTES,
  describeError,
  documentErrors,
  isWorthALine,
  refuseUnknownQueries,
  Throttled,
} from "./http-errors.ts";
import { readJsonBodies } from "./json-body.ts";
import { refusePacked } from "./packed-body.ts";

const MAX_PARAM_LENGTH = 1_024;

/** For a whole request to come; whoever is slower holds memory, and keeps the process from ending. */
const REQUEST_TIMEOUT_MS = 60_000;

export type HttpServerOptions = {
  log: Log;
  /** Of its OpenAPI description. */
  title: string;
  /** What its lines in the log are of. */
  part: string;
  /** Of a body, in bytes. */
  bodyLimit?: number;
  /** It unpacks what comes as gzip and the like; without this, such a body is refused. */
  unpacksBodies?: true;
  /** Beside the bearer tokens of operators and readers, by name. */
  securitySchemes?: Record<string, { type: "http"; scheme: "basic"; description: string }>;
  /** How long requests that are under way may take when it closes, before their connections are cut. Default: 0. */
  finishWithinMs?: number;
  /** For a whole request to come. Default: 60,000. */
  requestTimeoutMs?: number;
};

/** How often Node looks for requests that are too slow. */
const LOOK_EVERY_MS = 30_000;

/**
 * An HTTP server, without routes. Every error has one shape:
 * `{"error":{"code","message","path"?,"value"?}}`.
 */
export async function createHttpServer(options: HttpServerOptions): Promise<FastifyInstance> {
  const { log, title, part, bodyLimit = BODY_LIMIT_BYTES, finishWithinMs = 0 } = options;
  const { requestTimeoutMs = REQUEST_TIMEOUT_MS } = options;
  /** The answer to the latest request of each connection. */
  const latest = new WeakMap<object, ServerResponse>();
  /** Connections on which nothing more is read. */
  const broken = new WeakSet<object>();
  /** Connections of requests that may take long. */
  const patient = new WeakSet<object>();
  const server = fastify({
    loggerInstance: log.child(
      { part },
      { level: log.level === "info" ? "warn" : log.level },
    ) as FastifyBaseLogger,
    forceCloseConnections: finishWithinMs > 0 ? "idle" : true,
    requestTimeout: requestTimeoutMs,
    bodyLimit,
    // Node's own refusal has no body.
    http: {
      requireHostHeader: false,
      connectionsCheckingInterval: Math.min(LOOK_EVERY_MS, requestTimeoutMs),
    },
    routerOptions: {
      maxParamLength: MAX_PARAM_LENGTH,
      onBadUrl: (path, _request, response) => answerBadUrl(response, path, "the URL is not well encoded"),
      onMaxParamLength: (path, _request, response) =>
        answerBadUrl(response, path, `a part of the URL is longer than ${MAX_PARAM_LENGTH} characters`),
    },
    clientErrorHandler(error, socket) {
      // Node goes on with a request whose timeout is not answered.
      if (broken.has(socket) || (error.code === "ERR_HTTP_REQUEST_TIMEOUT" && patient.has(socket))) return;
      broken.add(socket);
      const end = () => {
        if (socket.writable) socket.end(answerToBrokenRequest(error));
      };
      const before = latest.get(socket);
      // What is broken comes after a whole request, whose answer goes first: it may say that an update was taken.
      if (before?.req.complete && !before.writableFinished) before.once("close", end);
      else end();
    },
  });
  // Node swaps the two where this is the longer one.
  server.server.headersTimeout = Math.min(server.server.headersTimeout, requestTimeoutMs);
  server.server.on("request", (request, response) => latest.set(request.socket, response));
  server.server.on("checkExpectation", answerUnmetExpectation);
  server.removeContentTypeParser("text/plain");
  readJsonBodies(server, ["application/json"]);
  server.setValidatorCompiler(TypeBoxValidatorCompiler);
  // Answers are written as they are: their schemas are for OpenAPI.
  server.setSerializerCompiler(() => JSON.stringify);
  server.setErrorHandler((error: FastifyError, request, reply) => {
    const { status, body } = describeError(error, request);
    if (isWorthALine(error, status)) request.log.error({ err: error }, error.message);
    if (error instanceof Throttled) reply.header("retry-after", Math.ceil(error.retryAfterMs / 1_000));
    else if (status === 503 && body.retryable) reply.header("retry-after", 1);
    return reply.code(status).send({ error: body });
  });
  server.setNotFoundHandler((request, reply) =>
    reply
      .code(404)
      .send({ error: { code: "not_found", message: `no ${request.method} ${request.url} here` } }),
  );
  await server.register(fastifySwagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title, version: "1" },
      components: {
        securitySchemes: {
          bearer: { type: "http", scheme: "bearer" },
          ...options.securitySchemes,
        },
      },
    },
  });
  if (finishWithinMs > 0) closeConnections(server, finishWithinMs);
  server.addHook("onRequest", async ({ raw: { httpVersion }, headers: { host } }) => {
    if (host === undefined && httpVersion === "1.1")
      throw new KeylineError("invalid_request", "host: the header is required", { path: "host" });
  });
  server.addHook("onRequest", async ({ raw: { socket }, routeOptions }) => {
    if (routeOptions.config.mayTakeLong) patient.add(socket);
  });
  // Behind the hooks of routes that ask who it is.
  if (!options.unpacksBodies) server.addHook("preParsing", refusePacked);
  server.addHook("onResponse", async ({ raw: { socket } }) => void patient.delete(socket));
  server.addHook("onRoute", documentErrors);
  server.addHook("onRoute", refuseUnknownQueries);
  server.get("/openapi.json", { schema: { hide: true } }, () => server.swagger());
  return server;
}

/** A connection that is kept alive after its last answer, or whose request never ends, would hold up the closing. */
function closeConnections(server: FastifyInstance, finishWithinMs: number): void {
  let closing = false;
  let cutting: NodeJS.Timeout | undefined;
  server.addHook("preClose", async () => {
    closing = true;
    cutting = setTimeout(() => server.server.closeAllConnections(), finishWithinMs);
  });
  server.addHook("onSend", async (_, reply) => {
    if (closing) reply.header("connection", "close");
  });
  server.addHook("onClose", async () => clearTimeout(cutting));
}

/**
 * @param names of the settings, for the message of an error.
 * @throws KeylineError `listen_failed`
 */
export async function listen(
  server: FastifyInstance,
  { host, port, names }: { host: string; port: number; names: { host: string; port: string } },
): Promise<string> {
  try {
    return await server.listen({ host, port });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    const text =
      code === "EADDRINUSE"
        ? `port ${port} is taken by another program: set ${names.port} to another one, or to 0 for any free one`
        : `${names.host}=${host} ${names.port}=${port} can't be listened on: ${message}`;
    throw new KeylineError("listen_failed", text, { value: port, cause: error });
  }
}
