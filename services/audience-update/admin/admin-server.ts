import fastifySwagger from "@fastify/swagger";
import { TypeBoxValidatorCompiler } from "@fastify/type-provider-typebox";
import { type FastifyBaseLogger, type FastifyError, type FastifyInstance, fastify } from "fastify";
import { quote } from "../../../shared/domain/refusal.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import type { Log } from "../../../shared/runtime/log.ts";

const statusOfCode: Record<string, number> = {
  unauthorised: 401,
  user_not_found: 404,
  store_unavailable: 503,
  invalid_request: 400,
};

/**
 * The HTTP server of the service, without routes. Every error has one shape:
 * `{"error":{"code","message","path"?,"value"?}}`.
 */
export async function createAdminServer(log: Log): Promise<FastifyInstance> {
  const server = fastify({
    loggerInstance: log.child(
      { part: "admin" },
      { level: log.level === "info" ? "warn" : log.level },
    ) as FastifyBaseLogger,
    forceCloseConnections: true,
    bodyLimit: 65_536,
    routerOptions: {
      maxParamLength: 1_024,
      onBadUrl(path, _request, response) {
        const body = {
          code: "invalid_request",
          message: "the URL is not well encoded",
          path: "url",
          value: quote(path),
        };
        response.writeHead(400, { "content-type": "application/json" }).end(JSON.stringify({ error: body }));
      },
    },
  });
  server.setValidatorCompiler(TypeBoxValidatorCompiler);
  server.setErrorHandler((error: FastifyError, request, reply) => {
    const { status, body } = describe(error);
    if (status >= 500) request.log.error({ err: error }, error.message);
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
      info: { title: "Keyline audience-update", version: "1" },
      components: { securitySchemes: { bearer: { type: "http", scheme: "bearer" } } },
    },
  });
  server.get("/openapi.json", { schema: { hide: true } }, () => server.swagger());
  return server;
}

type ErrorBody = { code: string; message: string; path?: string; value?: string };

function describe(error: FastifyError): { status: number; body: ErrorBody } {
  if (error instanceof KeylineError) {
    const { code, message, path, value } = error;
    const body: ErrorBody = { code, message };
    if (path !== undefined) body.path = path;
    if (value !== undefined) body.value = quote(value);
    return { status: statusOfCode[code] ?? 500, body };
  }
  if (error.validation) return { status: 400, body: describeValidation(error) };
  const status = error.statusCode ?? 500;
  if (status < 500) return { status, body: { code: "invalid_request", message: error.message } };
  return { status, body: { code: "internal_error", message: "an unexpected error; the log has it" } };
}

function describeValidation(error: FastifyError): ErrorBody {
  const first = error.validation?.[0];
  const path = first?.instancePath.split("/").slice(1).join(".") ?? "";
  const where = path || error.validationContext || "body";
  return { code: "invalid_request", message: `${where}: ${first?.message ?? error.message}`, path };
}
