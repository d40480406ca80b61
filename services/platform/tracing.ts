import { z } from 'zod';
import { ConfigError, setting } from './config.ts';
import type { Releases } from './lifecycle.ts';
import type { Log } from './log.ts';
import { NO_TRACING, type Tracing } from './span.ts';

/** The settings of every role that makes spans, under the names that OpenTelemetry gave them. */
export const TRACING_SETTINGS = {
  otlpEndpoint: setting(
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    'base address of what collects traces by OTLP over HTTP, without /v1/traces; none are made without it',
    z
      .literal('')
      .transform(() => undefined)
      .or(z.url())
      .optional(),
  ),
  otlpHeaders: setting(
    'OTEL_EXPORTER_OTLP_HEADERS',
    'headers to send there, name=value, comma-separated',
    z.string().default(''),
  ),
  traceRatio: setting(
    'OTEL_TRACES_SAMPLER_ARG',
    'share of requests that are traced, 0 to 1; a caller that has decided already is followed',
    z.coerce.number().min(0).max(1).default(0.01),
  ),
} as const;

export interface TracingConfig {
  readonly otlpEndpoint?: string | undefined;
  readonly otlpHeaders: string;
  readonly traceRatio: number;
}

/**
 * Opens the traces of a process, and gives back what makes none when no endpoint is configured: the SDK is loaded
 * only when it is needed, for it takes 370 ms and 43 MB. To be called before anything that makes spans is opened, so
 * that the last of them are sent after it was released.
 * @param service as the traces call this process: its role, and its page where it has one
 * @throws ConfigError
 */
export async function openTracing(
  service: string,
  config: TracingConfig,
  { log, version, releases }: { log: Log; version: string; releases: Releases },
): Promise<Tracing> {
  const { otlpEndpoint, traceRatio } = config;
  if (otlpEndpoint === undefined) return NO_TRACING;
  const headers = headersOf(config.otlpHeaders);
  const { openTelemetry } = await import('./opentelemetry.ts');
  const tracing = openTelemetry(
    { service, version, endpoint: otlpEndpoint, headers, ratio: traceRatio },
    log,
  );
  releases.push('traces', tracing.close);
  log.info({ service, traceRatio }, 'traces');
  return tracing;
}

function headersOf(list: string): Record<string, string> {
  const pairs = list.split(',').filter((pair) => pair.trim() !== '');
  return Object.fromEntries(
    pairs.map((pair) => {
      const [, name, value] = /^\s*([^=\s]+)\s*=\s*(.*?)\s*$/.exec(pair) ?? [];
      // Not the value: it may be a secret.
      if (name === undefined)
        throw new ConfigError('OTEL_EXPORTER_OTLP_HEADERS must be name=value,name=value');
      return [name, value!];
    }),
  );
}
