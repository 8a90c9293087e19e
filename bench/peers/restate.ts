/**
 * Restate: a virtual object for each user, which holds the profile as its own state; Restate runs one call at a time for
 * each object. As its documentation says: `ctx.get` and `ctx.set`, one-way calls through the ingress by its client, each
 * with an idempotency key, the client's retries on. The SDK's log, two lines a call by default, says errors alone. The server's settings are the
 * defaults.
 *
 * Restate calls a service, which takes nothing by itself. To let a backlog wait, its process is frozen meanwhile.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ObjectContext, object, serve } from "@restatedev/restate-sdk";
import { connect, rpc } from "@restatedev/restate-sdk-clients";
import { freePort } from "../../deploy/local/free-ports.ts";
import type { Update } from "../../shared/domain/envelope.ts";
import { type ConsumerTask, startConsumerProcess, untilLetGo } from "./consumer-process.ts";
import type { KeptProfile, OpenPeer, Peer, PeerConsumer } from "./peer.ts";
import { emptyProfile, fold, keptOf, type PlainProfile } from "./plain-profile.ts";
import { queryRestate, startRestate } from "./restate-server.ts";
import { createUserLines, sendAll } from "./user-lines.ts";

const FILLED_AT_ONCE = 64;
const STATE = "profile";

const profileObject = (countApplied: () => void) =>
  object({
    name: "Profile",
    handlers: {
      async apply(context: ObjectContext, update: Update) {
        const profile = (await context.get<PlainProfile>(STATE)) ?? emptyProfile();
        context.set(STATE, fold(profile, update));
        countApplied();
      },
    },
  });
type ProfileObject = ReturnType<typeof profileObject>;
const definition: Pick<ProfileObject, "name"> & ProfileObject = { name: "Profile" } as ProfileObject;

export const restate: Peer = {
  name: "restate",
  async open(_stack, run) {
    const directory = mkdtempSync(join(tmpdir(), "keyline-restate-"));
    const server = await startRestate(directory);
    const port = await freePort();
    const client = connect({ url: server.urls.ingress, retry: true });
    const lines = createUserLines();
    const options = ({ userId, src, seq }: Update) => ({ idempotencyKey: `${userId} ${src} ${seq}` });
    const send = (update: Update) =>
      lines.run(update.userId, () =>
        client
          .objectSendClient<ProfileObject>(definition, update.userId)
          .apply(update, rpc.sendOpts(options(update))),
      );
    const startOne = async (): Promise<PeerConsumer> => {
      const consumer = await startConsumerProcess(
        import.meta.url,
        { run, port },
        { RESTATE_LOGGING: "ERROR" },
      );
      await register(server.urls.admin, port);
      return consumer;
    };
    let frozen: PeerConsumer | undefined;
    return {
      async fill(updates) {
        frozen = await startOne();
        await frozen.letGo();
        frozen.kill("SIGSTOP");
        await sendAll(updates, FILLED_AT_ONCE, send);
      },
      async startConsumer() {
        const consumer = frozen ?? (await startOne());
        frozen = undefined;
        return {
          ...consumer,
          async letGo() {
            await consumer.letGo();
            consumer.kill("SIGCONT");
          },
        };
      },
      async publish(update) {
        await send(update);
      },
      // As its documentation says for who wants to know the outcome: a call that is answered once it is applied.
      async publishVisibly(update) {
        await client
          .objectClient<ProfileObject>(definition, update.userId)
          .apply(update, rpc.opts(options(update)));
      },
      async waiting() {
        const unfinished = "select count(*) as number from sys_invocation where status != 'completed'";
        const [row] = await queryRestate<{ number: number }>(server.urls.admin, unfinished);
        return row!.number;
      },
      async read(userIds) {
        const asked = new Set(userIds);
        const states = "select service_key, value_utf8 from state where service_name = 'Profile'";
        const rows = await queryRestate<{ service_key: string; value_utf8: string }>(
          server.urls.admin,
          states,
        );
        const found = new Map<string, KeptProfile>();
        for (const { service_key: userId, value_utf8: text } of rows)
          if (asked.has(userId)) found.set(userId, keptOf(JSON.parse(text) as PlainProfile));
        return found;
      },
      // It calls one address, behind which a load balancer would have several.
      maxConsumers: 1,
      broker: server,
      servers: { restate: server },
      async close() {
        server.kill("SIGKILL");
        await server.stop();
        rmSync(directory, { recursive: true, force: true });
      },
    } satisfies OpenPeer;
  },
};

async function register(adminUrl: string, port: number): Promise<void> {
  const answer = await fetch(`${adminUrl}/deployments`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ uri: `http://127.0.0.1:${port}`, force: true }),
  });
  if (!answer.ok) throw new Error(`Restate refused the service: ${answer.status} ${await answer.text()}`);
}

if (import.meta.main) await consume(JSON.parse(process.argv[2]!) as ConsumerTask & { port: number });

async function consume({ port }: ConsumerTask & { port: number }): Promise<void> {
  let countApplied = () => {};
  await serve({ services: [profileObject(() => countApplied())], port });
  countApplied = await untilLetGo();
}
