import type { FastifyRequest } from "fastify";
import type { Operators } from "../../../shared/http/operators.ts";

/** One line in the log for what an operator did to a tenant. */
export type Audit = (request: FastifyRequest, action: string, tenant: string, details?: object) => void;

export function auditOf(operators: Operators): Audit {
  return (request, action, tenant, details = {}) => {
    const name = operators.authenticate(request.headers.authorization)?.name;
    request.log.warn({ audit: action, tenant, operator: name, ...details }, `tenant ${tenant}: ${action}`);
  };
}
