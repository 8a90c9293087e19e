import fastifySwagger from "@fastify/swagger";
import { TypeBoxValidatorCompiler } from "@fastify/type-provider-typebox";
import { type FastifyBaseLogger, type FastifyError, type FastifyInstance, fastify } from "fastify";
import type { Log } from "../runtime/log.ts";
import {
  answerBadUrl,
  answerToBrokenRequest,
  BODY_LIMIT_BYTES,
  describeError,
  documentErrors,
  isWorthALine,
  refuseUnknownQueries,
} from "./http-errors.ts";

const MAX_PARAM_LENGTH = 1_024;

export type HttpServerOptions = {
  log: Log;
  /** Of its OpenAPI description. */
  title: string;
  /** What its lines in the log are of. */
  part: string;
};

/**
 * An HTTP server, without routes. Every error has one shape:
 * `{"error":{"code","message","path"?,"value"?}}`.
 */
export async function createHttpServer({ log, title, part }: HttpServerOptions): Promise<FastifyInstance> {
  const server = fastify({
    loggerInstance: log.child(
      { part },
      { level: log.level === "info" ? "warn" : log.level },
    ) as FastifyBaseLogger,
    forceCloseConnections: true,
    bodyLimit: BODY_LIMIT_BYTES,
    routerOptions: {
      maxParamLength: MAX_PARAM_LENGTH,
      onBadUrl: (path, _request, response) => answerBadUrl(response, path, "the URL is not well encoded"),
      onMaxParamLength: (path, _request, response) =>
        answerBadUrl(response, path, `a part of the URL is longer than ${MAX_PARAM_LENGTH} characters`),
    },
    clientErrorHandler(error, socket) {
      if (socket.writable) socket.end(answerToBrokenRequest(error));
    },
  });
  server.removeContentTypeParser("text/plain");
  server.setValidatorCompiler(TypeBoxValidatorCompiler);
  // Answers are written as they are: their schemas are for OpenAPI.
  server.setSerializerCompiler(() => JSON.stringify);
  server.setErrorHandler((error: FastifyError, request, reply) => {
    const { status, body } = describeError(error, request);
    if (isWorthALine(error, status)) request.log.error({ err: error }, error.message);
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
      components: { securitySchemes: { bearer: { type: "http", scheme: "bearer" } } },
    },
  });
  server.addHook("onRoute", documentErrors);
  server.addHook("onRoute", refuseUnknownQueries);
  server.get("/openapi.json", { schema: { hide: true } }, () => server.swagger());
  return server;
}
