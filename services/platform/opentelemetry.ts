import { hostname } from 'node:os';
import {
  type DiagLogger,
  DiagLogLevel,
  diag,
  ROOT_CONTEXT,
  type Span as SdkSpan,
  SpanKind as SdkSpanKind,
  type SpanContext,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { AlwaysOnSampler, BatchSpanProcessor } from '@opentelemetry/sdk-trace';
import type { SpanAttributes } from '#contracts/traces.ts';
import { within } from './lifecycle.ts';
import type { Log } from './log.ts';
import { NOT_CHOSEN, passing, type Span, type SpanEnd, type SpanKind, type Tracing } from './span.ts';
import { isSampled, isTraceparent } from './traceparent.ts';

/** What a slow or absent collector may cost: memory for this many spans, and this much time in ms. */
export const TRACING_LIMITS = {
  spansWaiting: 2_048,
  spansPerRequest: 512,
  sendEveryMs: 1_000,
  sendDeadlineMs: 3_000,
  /** For sending what is left when the process stops; the drain of a role takes up to 25 s in all. */
  closeDeadlineMs: 3_000,
  complainEveryMs: 60_000,
} as const;

const KINDS: Readonly<Record<SpanKind, SdkSpanKind>> = {
  server: SdkSpanKind.SERVER,
  client: SdkSpanKind.CLIENT,
  producer: SdkSpanKind.PRODUCER,
  consumer: SdkSpanKind.CONSUMER,
};

export interface OpenTelemetrySettings {
  readonly service: string;
  readonly version: string;
  /** Base address, to which `/v1/traces` is added. */
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The share of requests to record when the caller has not decided, 0 to 1. */
  readonly ratio: number;
}

/**
 * Traces by OpenTelemetry's SDK, sent in batches. What is to be recorded is decided here and not by a sampler of the
 * SDK, which would first make a span of everything; no library is instrumented, and no header is written by the SDK.
 * The SDK registers itself globally, so that a process has one of these at a time.
 */
export function openTelemetry(
  { service, version, endpoint, headers, ratio }: OpenTelemetrySettings,
  log: Log,
): Tracing & { close(): Promise<void> } {
  diag.setLogger(complaints(log), DiagLogLevel.WARN);
  const exporter = new OTLPTraceExporter({
    url: `${endpoint.replace(/\/+$/, '')}/v1/traces`,
    headers: { ...headers },
    timeoutMillis: TRACING_LIMITS.sendDeadlineMs,
  });
  const sdk = new NodeSDK({
    // Given explicitly: the SDK takes what is left out from the environment, by default with exporters of its own.
    instrumentations: [],
    metricReaders: [],
    logRecordProcessors: [],
    textMapPropagator: null,
    autoDetectResources: false,
    sampler: new AlwaysOnSampler(),
    resource: resourceFromAttributes({
      'service.namespace': 'top-clients',
      'service.name': service,
      'service.version': version,
      'service.instance.id': `${hostname()}:${process.pid}`,
    }),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter,
        maxQueueSize: TRACING_LIMITS.spansWaiting,
        maxExportBatchSize: TRACING_LIMITS.spansPerRequest,
        scheduledDelayMillis: TRACING_LIMITS.sendEveryMs,
        exportTimeoutMillis: TRACING_LIMITS.sendDeadlineMs,
      }),
    ],
  });
  sdk.start();
  const tracer = trace.getTracer('top-clients', version);
  return {
    isOn: true,

    serve(traceparent, name) {
      if (traceparent === undefined || !isTraceparent(traceparent)) {
        return Math.random() < ratio ? beginSpan(tracer, null, 'server', name) : NOT_CHOSEN;
      }
      return isSampled(traceparent)
        ? beginSpan(tracer, contextOf(traceparent), 'server', name)
        : passing(traceparent);
    },

    begin: (parent, kind, name, attributes) => beginSpan(tracer, contextOf(parent), kind, name, attributes),

    record({ kind, name, parent, links = [], tookMs, attributes }) {
      const endedAt = Date.now();
      tracer
        .startSpan(
          name,
          {
            kind: KINDS[kind],
            attributes,
            startTime: endedAt - tookMs,
            links: links.map((link) => ({ context: contextOf(link) })),
          },
          parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, contextOf(parent)),
        )
        .end(endedAt);
    },

    async close() {
      try {
        await within(TRACING_LIMITS.closeDeadlineMs, 'sending the last traces', sdk.shutdown());
      } catch (err) {
        log.warn({ err }, 'the last traces were not sent');
      } finally {
        trace.disable();
      }
    },
  };
}

/** @param traceparent a valid one */
const contextOf = (traceparent: string): SpanContext => ({
  traceId: traceparent.slice(3, 35),
  spanId: traceparent.slice(36, 52),
  traceFlags: Number.parseInt(traceparent.slice(53, 55), 16),
  isRemote: true,
});

function beginSpan(
  tracer: Tracer,
  parent: SpanContext | null,
  kind: SpanKind,
  name: string,
  attributes: SpanAttributes = {},
): Span {
  const context = parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
  return new Recorded(tracer, tracer.startSpan(name, { kind: KINDS[kind], attributes }, context));
}

class Recorded implements Span {
  readonly isRecorded = true;
  readonly traceparent: string;
  readonly #tracer: Tracer;
  readonly #span: SdkSpan;

  constructor(tracer: Tracer, span: SdkSpan) {
    const { traceId, spanId } = span.spanContext();
    this.traceparent = `00-${traceId}-${spanId}-01`;
    this.#tracer = tracer;
    this.#span = span;
  }

  begin(kind: SpanKind, name: string, attributes?: SpanAttributes): Span {
    return beginSpan(this.#tracer, this.#span.spanContext(), kind, name, attributes);
  }

  link(traceparent: string): void {
    this.#span.addLink({ context: contextOf(traceparent) });
  }

  end({ name, attributes, error }: SpanEnd = {}): void {
    if (name !== undefined) this.#span.updateName(name);
    if (attributes !== undefined) this.#span.setAttributes(attributes);
    if (error !== undefined) {
      this.#span.setAttribute('error.type', error).setStatus({ code: SpanStatusCode.ERROR });
    }
    this.#span.end();
  }
}

/** What the SDK has to complain about, which is mostly the collector: a line a minute is enough. */
function complaints(log: Log): DiagLogger {
  let silentUntil = 0;
  const complain = (message: string) => {
    if (Date.now() < silentUntil) return;
    silentUntil = Date.now() + TRACING_LIMITS.complainEveryMs;
    log.warn({ opentelemetry: message }, 'traces are lost; further complaints are held back for a minute');
  };
  const silent = () => {};
  return { error: complain, warn: complain, info: silent, debug: silent, verbose: silent };
}
