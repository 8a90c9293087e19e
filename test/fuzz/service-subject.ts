/** The audience-update service that is fuzzed, and what is expected of each of its answers. */
import type { InjectOptions } from "fastify";
import { arbitraryBytes } from "./arbitrary-bytes.ts";
import { SERVICE_TENANTS, USERS } from "./arbitrary-service-calls.ts";
import {
  arbitraryServiceRequest,
  NAMED_TOKEN,
  READERS_TOKEN,
  type ServiceRequest,
} from "./arbitrary-service-request.ts";
import type { Client } from "./check-definitions.ts";
import { type Changes, checkTaken } from "./check-taken.ts";
import { startFuzzedService } from "./fuzzed-service.ts";
import { answersOf, exchange } from "./raw-exchange.ts";
import { createAnswerCheck } from "./service-answers.ts";
import { type Answer, checkPrototype, type Fuzzed, type Subject } from "./subject.ts";

export const fuzzedService: Fuzzed<ServiceRequest> = {
  name: "service",
  open: openService,
  requests: arbitraryServiceRequest,
  bytes: arbitraryBytes({
    line: "PUT /admin/settings HTTP/1.1",
    token: NAMED_TOKEN,
    body: JSON.stringify({ settings: { maxRounds: 4 }, reason: "raw" }),
  }),
};

/** Of users' updates, to be counted whatever settings and definitions there are. */
const COUNTED_WITHIN_MS = 20_000;

async function openService(): Promise<Subject<ServiceRequest>> {
  const service = await startFuzzedService();
  const { server, port } = service;
  const checkAnswer = createAnswerCheck(server);
  const byStatus = new Map<number, number>();
  let taken = 0;
  let round = 0;

  async function inject(options: InjectOptions): Promise<Answer> {
    const { statusCode, headers, body } = await server.inject(options);
    return { status: statusCode, contentType: headers["content-type"] as string | undefined, body };
  }

  async function changes(): Promise<Changes> {
    const [definitions, settings] = [
      await service.definitionStore.revision(),
      await service.settingsStore.revision(),
    ];
    return { definitions, settings, toggles: service.toggles().count };
  }

  const client: Client = async (method, url, payload) => {
    const token = method === "GET" ? READERS_TOKEN : NAMED_TOKEN;
    const headers = { authorization: `Bearer ${token}` };
    const answer = await inject({ method, url, headers, ...(payload && { payload }) });
    checkAnswer({ method, path: url }, answer);
    return { status: answer.status, body: JSON.parse(answer.body) };
  };

  function check(request: { method: string; path: string }, answer: Answer): void {
    byStatus.set(answer.status, (byStatus.get(answer.status) ?? 0) + 1);
    const isWaiting = answer.status === 504 && request.path.includes("after=");
    if (answer.status >= 500 && !isWaiting)
      throw new Error(`${answer.status} ${answer.body.slice(0, 300)} ${service.lastError().slice(0, 1_000)}`);
    checkAnswer(request, answer);
  }

  /** What was taken last must not keep users from being counted, read and explained. */
  async function checkUsers(): Promise<void> {
    round += 1;
    for (const tenant of SERVICE_TENANTS) {
      const { audiences } = (await client("GET", `/v1/tenants/${tenant}/definitions`)).body;
      for (const userId of USERS) {
        const id = await publish(tenant, userId);
        const url = `/v1/tenants/${tenant}/users/${encodeURIComponent(userId)}`;
        const { status, body } = await client("GET", `${url}?timeoutMs=${COUNTED_WITHIN_MS}&after=${id}`);
        if (status !== 200) throw new Error(`${url} is not counted: ${JSON.stringify(body)}`);
        for (const { name } of audiences as { name: string }[]) {
          const explained = await client("GET", `${url}/explain?audience=${name}`);
          if (explained.status !== 200)
            throw new Error(`${name} is not explained: ${JSON.stringify(explained.body)}`);
        }
      }
      for (const { name } of audiences as { name: string }[])
        await checkPages(`/v1/tenants/${tenant}/audiences/${name}`);
    }
  }

  /** One by one, to the last page. */
  async function checkPages(audience: string): Promise<void> {
    const seen = new Set<string>();
    for (let query = "?limit=1"; query !== ""; ) {
      const { status, body } = await client("GET", `${audience}/members${query}`);
      if (status !== 200) throw new Error(`${audience} has no page ${query}: ${JSON.stringify(body)}`);
      const { members, next } = body as { members: string[]; next: string | null };
      for (const member of members) seen.add(member);
      if (seen.size > USERS.length) throw new Error(`${audience} has ${[...seen].join()}`);
      query = next === null ? "" : `?limit=1&cursor=${next}`;
    }
  }

  async function publish(tenant: string, userId: string): Promise<string> {
    const { id } = await service.publisher.publish({
      ...{ tenant, userId, id: `round-${round}` },
      ops: [
        { kind: "set", body: { plan: round % 2 === 0 ? "pro" : [1], trial_ends: "2026-02-01T00:00:00Z" } },
        { kind: "increment", body: { points: 1 } },
        { kind: "add", body: { tags: ["vip", 1] } },
        { kind: "event", body: { name: "buy", properties: { amount: 7.5, item: "book", labels: ["a"] } } },
      ],
    });
    return id;
  }

  /** Each round begins with nothing, so that it can be sent again alone. */
  async function forget(): Promise<void> {
    const { settings } = (await client("GET", "/admin/settings")).body;
    const started = Object.fromEntries((settings as { name: string }[]).map(({ name }) => [name, null]));
    const answers = [
      await client("PUT", "/admin/settings", { settings: started, reason: "the round is over" }),
      await client("PUT", "/admin/breaker", { route: "auto", reason: "the round is over" }),
    ];
    for (const tenant of SERVICE_TENANTS) {
      const nothing = { attributes: {}, audiences: {} };
      answers.push(await client("PUT", `/v1/tenants/${tenant}/definitions`, nothing));
    }
    const refused = answers.find(({ status }) => status !== 200);
    if (refused) throw new Error(`can't be put back: ${JSON.stringify(refused.body)}`);
  }

  await checkUsers();
  return {
    async send(request) {
      const before = await changes();
      const { method, path, headers, body } = request;
      const answer = await inject({
        ...{ method: method as "GET", url: path, headers },
        ...(body === undefined ? {} : { payload: body }),
      });
      check(request, answer);
      const after = await changes();
      const isTaken = await checkTaken(request, answer, {
        before,
        after,
        toggle: service.toggles().last,
        client,
      });
      if (isTaken) taken += 1;
      return answer.status;
    },
    async sendRaw(bytes) {
      const before = await changes();
      const answers = answersOf(await exchange(port, bytes));
      for (const answer of answers) check({ method: "HEAD", path: "/" }, answer);
      const after = await changes();
      const said = answers.filter(({ status }) => status === 200).length;
      if (after.settings - before.settings > said || after.definitions !== before.definitions)
        throw new Error(`changed more than the ${said} that it said`);
      taken += after.settings - before.settings;
      return answers[0]?.status ?? 0;
    },
    async checkKept() {
      checkPrototype();
      await checkUsers();
      await forget();
    },
    counts: () => ({ byStatus, taken }),
    close: service.close,
  };
}
