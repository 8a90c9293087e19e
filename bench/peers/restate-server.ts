import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import { cached } from "../../deploy/local/cache.ts";
import { freePorts } from "../../deploy/local/free-ports.ts";
import { type RunningServer, startServer } from "../../deploy/local/server-process.ts";

export type RestateServer = RunningServer<"ingress" | "admin">;

/**
 * Starts one Restate server, as the package `@restatedev/restate-server` would: the program of this platform, which
 * comes as a package of its own. All settings but its addresses and the telemetry are the defaults.
 *
 * @throws KeylineError `local_server_failed`
 */
export async function startRestate(directory: string): Promise<RestateServer> {
  const [ingress, admin, node] = await freePorts(3);
  const bound = (port: number | undefined) => `127.0.0.1:${port}`;
  const urls = { ingress: `http://${bound(ingress)}`, admin: `http://${bound(admin)}` };
  return startServer({
    name: "restate",
    urls,
    command: await program(),
    arguments: ["--no-logo", "--listen-mode", "tcp", "--base-dir", directory],
    environment: {
      RESTATE_BIND_ADDRESS: bound(node),
      RESTATE_ADVERTISED_ADDRESS: `http://${bound(node)}`,
      RESTATE_INGRESS__BIND_ADDRESS: bound(ingress),
      RESTATE_ADMIN__BIND_ADDRESS: bound(admin),
      RESTATE_DISABLE_TELEMETRY: "true",
    },
    directory,
    logFile: join(directory, "restate.log"),
    isReady: async () => {
      const healthy = await fetch(`${urls.ingress}/restate/health`);
      return healthy.ok && (await hasAllPartitions(urls.admin));
    },
    readyTimeoutMs: 60_000,
    stopTimeoutMs: 5_000,
  });
}

/**
 * It is healthy before its partitions are up, and where calls come meanwhile on two cores they may never be: some of its
 * threads then spin.
 */
async function hasAllPartitions(adminUrl: string): Promise<boolean> {
  await queryRestate(adminUrl, "select count(*) as number from sys_invocation");
  return true;
}

/** Asks for the server's state by SQL. @throws Error while a partition is not up */
export async function queryRestate<Row>(adminUrl: string, sql: string): Promise<Row[]> {
  const answer = await fetch(`${adminUrl}/query`, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json" },
    body: JSON.stringify({ query: sql }),
  });
  if (!answer.ok) throw new Error(`Restate refused the query: ${answer.status} ${await answer.text()}`);
  return ((await answer.json()) as { rows: Row[] }).rows;
}

const VERSION = "1.7.12";

/** From npm, once for all checkouts: it takes 216 MB, which no other command needs. */
async function program(): Promise<string> {
  const directory = await cached(`restate-${VERSION}`, async (target) => {
    const wanted = `@restatedev/restate-server@${VERSION}`;
    await promisify(execFile)("npm", ["install", "--prefix", target, "--ignore-scripts", wanted]);
  });
  const name = `@restatedev/restate-server-${process.platform}-${process.arch}`;
  return createRequire(join(directory, "package.json")).resolve(`${name}/bin/restate-server`);
}
