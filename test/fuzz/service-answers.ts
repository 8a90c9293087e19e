/** What the service may answer: the codes of its errors with their statuses, and its own OpenAPI document. */
import type { FastifyInstance } from "fastify";
import { Compile, type Validator } from "typebox/compile";
import { type Answer, checkError } from "./subject.ts";

const STATUS_OF_CODE: Record<string, readonly number[]> = {
  ...{ invalid_request: [400, 417], unsupported_media_type: [415], too_large: [413, 431], not_found: [404] },
  ...{ unauthorised: [401], user_not_found: [404], attribute_not_found: [404], audience_not_found: [404] },
  ...{ definition_not_found: [404], definition_in_use: [409], invalid_definition: [400] },
  ...{ definition_cycle: [400], definitions_too_large: [400], update_not_visible: [504] },
};

/** Of any request that HTTP or the server refuses before a route has it. */
const ANYWHERE = new Set([400, 404, 413, 415, 417, 431]);

type Operation = { responses?: Record<string, { content?: Record<string, { schema?: object }> }> };
type Documented = { method: string; path: RegExp; schemas: Map<string, Validator | undefined> };

export type AnswerCheck = (request: { method: string; path: string }, answer: Answer) => void;

/** @returns what throws where an answer is none that is documented. */
export function createAnswerCheck(server: FastifyInstance): AnswerCheck {
  const documented = documentedIn(server);

  function operationOf(method: string, path: string): Documented | undefined {
    const [at = ""] = path.split(/[?#]/);
    return documented.find((each) => each.method === method && each.path.test(at));
  }

  return ({ method, path }, answer) => {
    const { status, body } = answer;
    if (method === "HEAD" || status === 304) return;
    const operation = operationOf(method, path);
    if (status >= 400) return checkRefusal(operation, answer);
    if (!operation) {
      if (/^\/openapi\.json/.test(path)) return;
      throw new Error(`${status} of no route: ${body.slice(0, 300)}`);
    }
    const documentedAs = [`${status}`, "default"].find((each) => operation.schemas.has(each));
    if (documentedAs === undefined) throw new Error(`${status} is not documented`);
    const schema = operation.schemas.get(documentedAs);
    if (!schema || schema.Check(JSON.parse(body))) return;
    const [problem] = schema.Errors(JSON.parse(body));
    throw new Error(`not as documented: ${JSON.stringify(problem).slice(0, 300)} ${body.slice(0, 300)}`);
  };
}

function checkRefusal(operation: Documented | undefined, answer: Answer): void {
  const { status, body } = answer;
  const code = checkError(answer);
  if (!STATUS_OF_CODE[code]?.includes(status))
    throw new Error(`${status} with ${code}: ${body.slice(0, 300)}`);
  if (ANYWHERE.has(status) || operation?.schemas.has(`${status}`)) return;
  throw new Error(`${status} is not documented: ${body.slice(0, 300)}`);
}

/** The most exact path first; a part of it may come empty. */
function documentedIn(server: FastifyInstance): Documented[] {
  const { paths } = server.swagger() as { paths: Record<string, Record<string, Operation>> };
  return Object.entries(paths)
    .toSorted(([a], [b]) => a.split("{").length - b.split("{").length)
    .flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, { responses = {} }]) => ({
        method: method.toUpperCase(),
        path: new RegExp(`^${path.replaceAll(/\{\w+\}/g, "[^/]*")}$`),
        schemas: new Map(
          Object.entries(responses).map(([status, { content }]) => {
            const schema = content?.["application/json"]?.schema;
            return [status, schema === undefined ? undefined : Compile(schema as never)];
          }),
        ),
      })),
    );
}
