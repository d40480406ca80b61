import { z } from 'zod';
import type { SpanAttributes } from '#contracts/traces.ts';
import { ConfigError, setting } from './config.ts';
import type { Releases } from './lifecycle.ts';
import type { Log } from './log.ts';
import { isTraceparent, newTraceparent } from './traceparent.ts';

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

export type SpanKind = 'server' | 'client' | 'producer' | 'consumer';

/** What a span is given when it ends. */
export interface SpanEnd {
  /** Where the name is only known by then. */
  readonly name?: string;
  readonly attributes?: SpanAttributes;
  /** What went wrong on our side, in a word: a class of error or a status. */
  readonly error?: string | undefined;
}

/** A piece of work in a trace. Where it is not recorded everything here does nothing, and costs nothing. */
export interface Span {
  readonly isRecorded: boolean;
  /** What to send along as `traceparent` to whoever does a part of the work; null where there is no trace. */
  readonly traceparent: string | null;
  begin(kind: SpanKind, name: string, attributes?: SpanAttributes): Span;
  /** Points to another trace, by its `traceparent`. */
  link(traceparent: string): void;
  end(end?: SpanEnd): void;
}

/** Work that is over already. */
export interface FinishedWork {
  readonly kind: SpanKind;
  readonly name: string;
  /** The `traceparent` it belongs below; null begins a trace. */
  readonly parent: string | null;
  /** The `traceparent` of others that it points to. */
  readonly links?: readonly string[];
  readonly tookMs: number;
  readonly attributes: SpanAttributes;
}

/** The traces of a process. */
export interface Tracing {
  /** Without this nothing is recorded, and whatever would only be done for traces should be left. */
  readonly isOn: boolean;
  /** The work on a request: recorded as the caller's `traceparent` says, else the configured share of them. */
  serve(traceparent: string | undefined, name: string): Span;
  /** A part of the work on something recorded elsewhere; `parent` must be sampled. */
  begin(parent: string, kind: SpanKind, name: string, attributes?: SpanAttributes): Span;
  /** Records what has ended now; `parent` must be sampled where there is one. */
  record(work: FinishedWork): void;
}

/** A trace that others may record. The context is handed on as it came. */
class Passing implements Span {
  readonly isRecorded = false;
  readonly traceparent: string | null;

  constructor(traceparent: string | null) {
    this.traceparent = traceparent;
  }

  begin(): Span {
    return this;
  }

  link(): void {}

  end(): void {}
}

/** Outside of any trace. */
export const NO_SPAN: Span = new Passing(null);

/** What was not chosen says so to whoever it asks, who would otherwise choose anew. */
export const NOT_CHOSEN: Span = {
  isRecorded: false,
  get traceparent() {
    return newTraceparent();
  },
  begin: () => NOT_CHOSEN,
  link() {},
  end() {},
};

/** The caller's context, where it is valid, to be handed on without a part in it. */
export const passing = (traceparent: string | undefined): Span =>
  isTraceparent(traceparent) ? new Passing(traceparent) : NO_SPAN;

/** No traces are made; those of callers go through. */
export const NO_TRACING: Tracing = {
  isOn: false,
  serve: passing,
  begin: passing,
  record() {},
};

export interface TracingConfig {
  readonly otlpEndpoint?: string | undefined;
  readonly otlpHeaders: string;
  readonly traceRatio: number;
}

/**
 * Opens the traces of a process, and gives back what makes none when no endpoint is configured: the SDK is loaded
 * only when it is needed, for it takes 160 ms and 24 MB. To be called before anything that makes spans is opened, so
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
