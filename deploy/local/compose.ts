/** The stack as containers, by `docker compose` and deploy/compose.yaml. */
import { fileURLToPath } from "node:url";
import { findProgram, runProgram } from "./tools.ts";

const composeFile = fileURLToPath(new URL("../compose.yaml", import.meta.url));
const probeTimeoutMs = 15_000;
const startTimeoutMs = 900_000;

/** Undefined when containers can be used, else why not. */
export async function whyNoCompose(): Promise<string | undefined> {
  if (findProgram("docker") === undefined) return "there is no docker";
  try {
    await runProgram("docker", ["info"], { timeoutMs: probeTimeoutMs });
  } catch {
    return "no Docker engine answers";
  }
  try {
    await runProgram("docker", ["compose", "version"], { timeoutMs: probeTimeoutMs });
  } catch {
    return "docker has no compose plugin";
  }
  return undefined;
}

/** Starts what does not run yet and resolves when every health check passes. @throws KeylineError `local_command_failed`. */
export async function composeUp(environment: Readonly<Record<string, string>>): Promise<void> {
  await compose(["up", "--detach", "--wait"], environment);
}

/** Removes the containers; the volumes with the data stay. */
export async function composeDown(): Promise<void> {
  await compose(["--profile", "service", "down"], {});
}

/** A line for each container. */
export async function composeStatus(): Promise<string> {
  return compose(["ps", "--format", "{{.Service}}: {{.Status}}"], {});
}

function compose(
  composeArguments: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<string> {
  const options = { timeoutMs: startTimeoutMs, environment };
  return runProgram("docker", ["compose", "--file", composeFile, ...composeArguments], options);
}
