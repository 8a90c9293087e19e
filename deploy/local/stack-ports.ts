import { KeylineError } from "../../shared/runtime/errors.ts";

/** The ports of the stack; each setting is an environment variable, also read by deploy/compose.yaml. */
export const portSettings = {
  /** Pulsar's binary protocol. */
  pulsar: { setting: "STACK_PULSAR_PORT", port: 6650 },
  /** Pulsar's admin REST and WebSocket. */
  pulsarHttp: { setting: "STACK_PULSAR_HTTP_PORT", port: 8080 },
  sqs: { setting: "STACK_SQS_PORT", port: 4566 },
  redis: { setting: "STACK_REDIS_PORT", port: 6379 },
} as const;

export type StackPorts = Record<keyof typeof portSettings, number>;

/** @throws KeylineError `config_invalid`, quoting a value that is no port. */
export function stackPorts(environment: NodeJS.ProcessEnv): StackPorts {
  const read = (name: keyof StackPorts): number => {
    const { setting, port } = portSettings[name];
    const value = environment[setting];
    if (value === undefined || value === "") return port;
    if (/^\d{1,5}$/.test(value) && Number(value) > 0 && Number(value) < 65_536) return Number(value);
    throw new KeylineError(
      "config_invalid",
      `${setting} is ${JSON.stringify(value)}, expected a port (1 to 65535)`,
      {
        path: setting,
        value,
      },
    );
  };
  return { pulsar: read("pulsar"), pulsarHttp: read("pulsarHttp"), sqs: read("sqs"), redis: read("redis") };
}
