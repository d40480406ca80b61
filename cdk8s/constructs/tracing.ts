import type { Platform } from '../platform.ts';

/** The environment of a role that creates traces; empty without a collector. */
export function tracing({ spec: { tracing: wanted } }: Platform): { name: string; value: string }[] {
  if (wanted.endpoint === undefined) return [];
  return [
    { name: 'OTEL_EXPORTER_OTLP_ENDPOINT', value: wanted.endpoint },
    { name: 'OTEL_TRACES_SAMPLER_ARG', value: String(wanted.samplePercent / 100) },
  ];
}
