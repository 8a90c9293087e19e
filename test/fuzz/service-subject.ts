/** The audience-update service that is fuzzed, and what is expected of each of its answers. */
import type { InjectOptions } from "fastify";
import { arbitraryBytes } from "./arbitrary-bytes.ts";
import {
  arbitraryServiceRequest,
  NAMED_TOKEN,
  READERS_TOKEN,
  type ServiceRequest,
} from "./arbitrary-service-request.ts";
import type { Client } from "./check-definitions.ts";
import { type Changes, checkTaken } from "./check-taken.ts";
import { type FuzzedService, startFuzzedService } from "./fuzzed-service.ts";
import { answersOf, exchange } from "./raw-exchange.ts";
import { type AnswerCheck, createAnswerCheck } from "./service-answers.ts";
import { checkUsers, forget } from "./service-round.ts";
import { type Answer, checkError, checkPrototype, type Fuzzed, type Subject } from "./subject.ts";

export const fuzzedService: Fuzzed<ServiceRequest> = {
  name: "service",
  open: openService,
  requests: arbitraryServiceRequest,
  bytes: arbitraryBytes({
    line: "PUT /admin/settings HTTP/1.1",
    token: NAMED_TOKEN,
    body: JSON.stringify({ settings: { maxRounds: 4 }, reason: "raw" }),
  }),
  heldForMs: 0,
};

async function openService(): Promise<Subject<ServiceRequest>> {
  const service = await startFuzzedService();
  const checkAnswer = createAnswerCheck(service.server);
  const client = createClient(service, checkAnswer);
  const byStatus = new Map<number, number>();
  let taken = 0;
  let round = 0;

  function check({ status, body }: Answer, mayWait: boolean): void {
    byStatus.set(status, (byStatus.get(status) ?? 0) + 1);
    if (status >= 500 && !(status === 504 && mayWait))
      throw new Error(`${status} ${body.slice(0, 300)} ${service.lastError().slice(0, 1_000)}`);
  }

  async function send(request: ServiceRequest): Promise<number> {
    const before = await changesOf(service);
    const { method, path, headers, body } = request;
    const payload = body === undefined ? {} : { payload: body };
    const answer = await inject(service, { method: method as "GET", url: path, headers, ...payload });
    check(answer, path.includes("after="));
    const received = { ...request, path: receivedPath(path) };
    checkAnswer(received, answer);
    const after = await changesOf(service);
    const toggle = service.toggles().last;
    if (await checkTaken(received, answer, { before, after, toggle, client })) taken += 1;
    return answer.status;
  }

  async function sendRaw(bytes: Buffer): Promise<number> {
    const before = await changesOf(service);
    const answers = answersOf(await exchange(service.port, bytes));
    for (const answer of answers) {
      check(answer, false);
      // Which route it is of can't be told.
      if (answer.status >= 400) checkError(answer);
    }
    const after = await changesOf(service);
    const said = answers.filter(({ status }) => status === 200).length;
    const changed = after.settings - before.settings;
    if (changed > said || after.definitions !== before.definitions || after.toggles !== before.toggles)
      throw new Error(`changed more than the ${said} that it said`);
    taken += changed;
    return answers[0]?.status ?? 0;
  }

  await checkUsers(client, service.publisher, round);
  return {
    ...{ send, sendRaw },
    async checkKept() {
      round += 1;
      checkPrototype();
      await checkUsers(client, service.publisher, round);
      await forget(client);
    },
    counts: () => ({ byStatus, taken }),
    close: service.close,
  };
}

/** As `inject` gives it to the server: without `..` and fragments. */
function receivedPath(path: string): string {
  const { pathname, search } = URL.parse(path, "http://localhost") ?? { pathname: path, search: "" };
  return pathname + search;
}

async function inject({ server }: FuzzedService, options: InjectOptions): Promise<Answer> {
  const { statusCode, headers, body } = await server.inject(options);
  return { status: statusCode, contentType: headers["content-type"] as string | undefined, body };
}

function createClient(service: FuzzedService, checkAnswer: AnswerCheck): Client {
  return async (method, url, payload) => {
    const headers = { authorization: `Bearer ${method === "GET" ? READERS_TOKEN : NAMED_TOKEN}` };
    const answer = await inject(service, { method, url, headers, ...(payload && { payload }) });
    checkAnswer({ method, path: url }, answer);
    return { status: answer.status, body: JSON.parse(answer.body) };
  };
}

async function changesOf({ definitionStore, settingsStore, toggles }: FuzzedService): Promise<Changes> {
  const [definitions, settings] = [await definitionStore.revision(), await settingsStore.revision()];
  return { definitions, settings, toggles: toggles().count };
}
