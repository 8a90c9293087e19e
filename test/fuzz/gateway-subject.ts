/** The gateway that is fuzzed, on stores in memory, and what is expected of each of its answers. */
import { isUtf8 } from "node:buffer";
import { isDeepStrictEqual } from "node:util";
import type { FastifyInstance, InjectOptions } from "fastify";
import { pino } from "pino";
import { createGateway } from "../../services/gateway/gateway.ts";
import { createMemoryDocumentStore } from "../../shared/adapters/memory/memory-document-store.ts";
import { createMemoryLinkStore } from "../../shared/adapters/memory/memory-link-store.ts";
import { createMemoryRateStore } from "../../shared/adapters/memory/memory-rate-store.ts";
import { decode } from "../../shared/domain/decode.ts";
import type { Receipt } from "../../shared/publish/publisher.ts";
import { envelopeOf, type UpdateInput } from "../../shared/publish/update-input.ts";
import { resultOf } from "../support/memory-gateway.ts";
import { arbitraryBytes } from "./arbitrary-bytes.ts";
import { OPERATOR_TOKEN, TENANTS } from "./arbitrary-calls.ts";
import type { FuzzRequest } from "./arbitrary-faults.ts";
import { arbitraryRequest, type GatewayRequest } from "./arbitrary-request.ts";
import { IMPORTS_PATH } from "./arbitrary-upload.ts";
import { answersOf, exchange } from "./raw-exchange.ts";
import { type Answer, checkError, checkPrototype, type Fuzzed, type Subject } from "./subject.ts";

const STARTED_AT_MS = Date.UTC(2026, 10, 29);
/** Of all updates of a request, which itself is 1 MiB at most. */
const MAX_BYTES = 20 * 1_048_576;
const LIMITS = { maxUpdateBytes: 4_194_304, maxClockSkewMs: 0 };

/** What bytes on a connection are broken from. */
const [{ name: sender, writeKey: token }] = TENANTS;
const bytes = arbitraryBytes({
  line: "POST /v1/track HTTP/1.1",
  token,
  body: JSON.stringify({ userId: "ann", event: "seen" }),
});

export const fuzzedGateway: Fuzzed<GatewayRequest> = {
  name: "gateway",
  open: openGateway,
  requests: arbitraryRequest,
  bytes,
  // An upload that was answered before its end, for its sender to read the answer.
  heldForMs: 5_100,
};

async function openGateway(): Promise<Subject<GatewayRequest>> {
  let nowMs = STARTED_AT_MS;
  let published: UpdateInput[] = [];
  let updates = 0;
  let logged = "";
  const byStatus = new Map<number, number>();
  const remember = (line: string) => {
    logged = line;
  };
  const rateStore = createMemoryRateStore({ maxBuckets: 10_000, now: () => nowMs });

  function publish(input: UpdateInput): Receipt {
    const { id = `made-${updates}` } = envelopeOf(input, nowMs);
    updates += 1;
    published.push(input);
    return { id, path: "pulsar", src: "s", seq: 1, stamp: 1 };
  }

  const { server, close } = await createGateway({
    publisher: {
      publishAll: async (inputs, checked) => inputs.map((input) => resultOf(() => publish(input), checked)),
    },
    tenantStore: createMemoryDocumentStore({ maxEntries: 10_000 }),
    schemaStore: createMemoryDocumentStore({ maxEntries: 10_000 }),
    ...{ rateStore, localRateStore: rateStore },
    linkStore: createMemoryLinkStore({ maxUsers: 100_000 }),
    settings: {
      adminToken: OPERATOR_TOKEN,
      maxUnderWay: 20_000,
      maxBodyBytes: 67_108_864,
      maxImportBytes: 1_048_576,
    },
    log: pino({ level: "error" }, { write: remember }),
    now: () => nowMs,
  });
  for (const { name, writeKey, quotas, ...rest } of TENANTS) {
    await put(server, name, { writeKeys: [writeKey], quotas });
    if ("schema" in rest) await put(server, `${name}/schema`, rest.schema);
  }
  const { port } = new URL(await server.listen({ host: "127.0.0.1", port: 0 }));

  function begin(): void {
    nowMs += 1;
    published = [];
    logged = "";
  }

  function check(answer: Answer, method: string): void {
    byStatus.set(answer.status, (byStatus.get(answer.status) ?? 0) + 1);
    if (answer.status >= 500)
      throw new Error(`${answer.status} ${answer.body.slice(0, 300)} ${logged.slice(0, 1_000)}`);
    if (answer.status >= 400 && method !== "HEAD") checkError(answer);
  }

  return {
    async send(request) {
      begin();
      const { statusCode, headers, body } = await server.inject(injected(request));
      const answer = { status: statusCode, contentType: headers["content-type"] as string | undefined, body };
      check(answer, request.method);
      let bytes = 0;
      for (const input of published) bytes += checkTaken(input, request.tenant, nowMs);
      if (bytes > MAX_BYTES) throw new Error(`became ${bytes} bytes of updates`);
      // What is read of calls and events always gives an update that the publisher takes.
      const isChecked = !/^\/v1\/(updates|imports)/.test(request.path);
      if (isChecked && answer.body.includes('"code":"invalid_update"'))
        throw new Error(`the publisher had to refuse it: ${answer.body.slice(0, 300)}`);
      const isImport = request.method === "POST" && request.path.startsWith(`${IMPORTS_PATH}?`);
      if (published.length > 0 || answer.status === 200)
        if (isImport) checkImported(answer, published);
        else checkAccepted(request, answer, published);
      return answer.status;
    },
    async sendRaw(sent) {
      begin();
      const answers = answersOf(await exchange(Number(port), sent));
      for (const answer of answers) check(answer, "GET");
      for (const input of published) checkTaken(input, sender, nowMs);
      const taken = answers.filter(({ status }) => status === 200).length;
      if (taken < published.length)
        throw new Error(`took ${published.length} updates, and said so of ${taken}`);
      return answers[0]?.status ?? 0;
    },
    async checkKept() {
      checkPrototype();
      const all = await server.inject({
        ...{ method: "GET", url: "/admin/tenants" },
        headers: { authorization: `Bearer ${OPERATOR_TOKEN}` },
      });
      const { tenants } = all.json() as { tenants: { tenant: string; writeKeys: object[] }[] };
      for (const { tenant, writeKeys } of tenants)
        if (writeKeys.length > 16) throw new Error(`${tenant} has ${writeKeys.length} write keys`);
      const strict = await server.inject({
        ...{ method: "GET", url: "/admin/tenants/strict/schema" },
        headers: { authorization: `Bearer ${OPERATOR_TOKEN}` },
      });
      checkBounded(strict.json());
    },
    counts: () => ({ byStatus, taken: updates }),
    close,
  };
}

async function put(server: FastifyInstance, name: string, payload: object): Promise<void> {
  const headers = { authorization: `Bearer ${OPERATOR_TOKEN}` };
  const { statusCode, body } = await server.inject({
    method: "PUT",
    url: `/admin/tenants/${name}`,
    headers,
    payload,
  });
  if (statusCode !== 200) throw new Error(`${name} can't be put: ${body}`);
}

/** By its quotas. */
function checkBounded({
  events,
  attributes,
}: {
  events: Record<string, { properties: object }>;
  attributes: object;
}): void {
  const names = Object.keys(events).filter((name) => !name.startsWith("$"));
  const properties = Math.max(...Object.values(events).map((event) => Object.keys(event.properties).length));
  const counts = [names.length, Object.keys(attributes).length, properties];
  if (counts.some((count, index) => count > [3, 4, 5][index]!)) throw new Error(`a schema grew to ${counts}`);
}

function injected({ method, path, headers, body }: FuzzRequest): InjectOptions {
  return { method: method as "GET", url: path, headers, ...(body === undefined ? {} : { payload: body }) };
}

/** Returns its length: what the publisher got is what a consumer will read, and of the tenant whose key came. */
function checkTaken(input: UpdateInput, tenant: string | undefined, nowMs: number): number {
  if (input.tenant !== tenant)
    throw new Error(`an update of ${input.tenant} was taken from ${tenant ?? "nobody"}`);
  const update = envelopeOf(input, nowMs);
  const payload = JSON.stringify(update);
  if (payload.includes('"__proto__":')) throw new Error(`took a name that is refused: ${payload}`);
  const provenance = {
    key: `${update.tenant}:${update.userId}`,
    sizeBytes: payload.length,
    publishTimeMs: nowMs,
  };
  const decoded = decode(Buffer.from(payload).toString(), provenance, LIMITS, nowMs);
  if ("refusal" in decoded)
    throw new Error(`was taken, and no consumer reads it: ${decoded.refusal.message}: ${payload}`);
  if (!isDeepStrictEqual(JSON.stringify(decoded.update), payload))
    throw new Error(`is read as another: ${payload}`);
  return payload.length;
}

const RFC_3339 = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;

/** Of a request of which something was taken: it was JSON in UTF-8, and the answer says how much was taken. */
function checkAccepted({ path, text, method }: FuzzRequest, answer: Answer, published: UpdateInput[]): void {
  if (method !== "POST" || !path.startsWith("/v1/")) return;
  const { accepted, results } = JSON.parse(answer.body) as {
    accepted: number;
    results: { error?: object }[];
  };
  if (accepted === 0) throw new Error("said 200, and took nothing");
  if (accepted !== published.length)
    throw new Error(`said that it took ${accepted}, and took ${published.length}`);
  if (text === undefined) throw new Error("took updates from no body");
  if (published.length > 0 && !isUtf8(text)) throw new Error("took what is not UTF-8");
  const body = JSON.parse(text.toString().replace(/^\ufeff/, "")) as { updates?: { at?: unknown }[] };
  if (path !== "/v1/updates") {
    for (const { userId } of published) checkUser(path, userId, text.toString());
    return;
  }
  for (const [index, { error }] of results.entries()) {
    const at = body.updates?.[index]?.at;
    if (!error && typeof at === "string" && !RFC_3339.test(at))
      throw new Error(`took ${JSON.stringify(at)} as a time`);
  }
}

/** Of a file something may be taken, and then what comes be broken. */
function checkImported({ body }: Answer, published: readonly UpdateInput[]): void {
  const { lines, accepted, refused, nextLine } = JSON.parse(body) as Record<string, number>;
  if (accepted !== published.length)
    throw new Error(`said that it took ${accepted}, and took ${published.length}`);
  if (accepted! + refused! > lines! || nextLine !== lines! + 1) throw new Error(`miscounted: ${body}`);
  if (published.some(({ priority }) => priority !== "bulk"))
    throw new Error("took a live update from a file");
}

/** A user id of a call is not what an anonymous user is known by; of events it is theirs to say. */
function checkUser(path: string, userId: string, text: string): void {
  const [, anonymousId] = /^\$anonymous:(.*)$/s.exec(userId) ?? [];
  if (path === "/v1/events" || anonymousId === undefined) return;
  if (!text.includes(`"anonymousId":${JSON.stringify(anonymousId)}`))
    throw new Error(`took ${userId} from who is not known by that id`);
}
