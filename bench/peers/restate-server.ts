import { createRequire } from "node:module";
import { join } from "node:path";
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
    command: program(),
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
      const health = await fetch(`${urls.admin}/health`);
      return health.ok && (await fetch(`${urls.ingress}/restate/health`)).ok;
    },
    readyTimeoutMs: 60_000,
    stopTimeoutMs: 5_000,
  });
}

function program(): string {
  const require = createRequire(import.meta.url);
  return require.resolve(`@restatedev/restate-server-${process.platform}-${process.arch}/bin/restate-server`);
}
