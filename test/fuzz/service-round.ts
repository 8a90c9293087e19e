/** What is done between two rounds of requests to the service. */
import type { Publisher } from "../../shared/publish/publisher.ts";
import { SERVICE_TENANTS, USERS } from "./arbitrary-service-calls.ts";
import type { Client } from "./check-definitions.ts";

/** Of users' updates, to be counted whatever settings, route and definitions there are. */
const COUNTED_WITHIN_MS = 20_000;

/**
 * What was taken last must not keep users from being counted, read, explained and listed.
 * @param round no two may be the same.
 * @throws Error
 */
export async function checkUsers(client: Client, publisher: Publisher, round: number): Promise<void> {
  for (const tenant of SERVICE_TENANTS) {
    const { audiences } = (await client("GET", `/v1/tenants/${tenant}/definitions`)).body;
    const names = (audiences as { name: string }[]).map(({ name }) => name);
    for (const userId of USERS) {
      const id = await publish(publisher, tenant, userId, round);
      const url = `/v1/tenants/${tenant}/users/${encodeURIComponent(userId)}`;
      await got(client, `${url}?timeoutMs=${COUNTED_WITHIN_MS}&after=${id}`);
      for (const name of names) await got(client, `${url}/explain?audience=${name}`);
    }
    for (const name of names) await checkPages(client, `/v1/tenants/${tenant}/audiences/${name}`);
  }
}

// biome-ignore lint/suspicious/noExplicitAny: as of `Client`
async function got(client: Client, path: string): Promise<any> {
  const { status, body } = await client("GET", path);
  if (status !== 200) throw new Error(`${path} is not answered: ${JSON.stringify(body)}`);
  return body;
}

async function publish(publisher: Publisher, tenant: string, userId: string, round: number): Promise<string> {
  const { id } = await publisher.publish({
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

/** One member after the other, to the last page. */
async function checkPages(client: Client, audience: string): Promise<void> {
  const seen = new Set<string>();
  for (let query = "?limit=1"; query !== ""; ) {
    const { members, next } = await got(client, `${audience}/members${query}`);
    for (const member of members) seen.add(member);
    if (seen.size > USERS.length) throw new Error(`${audience} has ${[...seen].join()}`);
    query = next === null ? "" : `?limit=1&cursor=${next}`;
  }
}

/** Each round begins with nothing, so that it can be sent again alone. */
export async function forget(client: Client): Promise<void> {
  const { settings } = await got(client, "/admin/settings");
  const started = Object.fromEntries((settings as { name: string }[]).map(({ name }) => [name, null]));
  const reason = "the round is over";
  const puts: [string, object][] = [
    ["/admin/settings", { settings: started, reason }],
    ["/admin/breaker", { route: "auto", reason }],
    ...SERVICE_TENANTS.map((tenant): [string, object] => [
      `/v1/tenants/${tenant}/definitions`,
      { attributes: {}, audiences: {} },
    ]),
  ];
  for (const [path, body] of puts) {
    const answer = await client("PUT", path, body);
    if (answer.status !== 200) throw new Error(`${path} can't be put back: ${JSON.stringify(answer.body)}`);
  }
}
