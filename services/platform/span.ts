import type { SpanAttributes } from '#contracts/traces.ts';
import { isTraceparent, newTraceparent } from './traceparent.ts';

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
  /** If false, nothing is recorded, and work that only serves traces should be left out. */
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

/** A request not chosen for recording. It tells the services that it calls, which would otherwise choose anew. */
export const NOT_CHOSEN: Span = {
  isRecorded: false,
  get traceparent() {
    return newTraceparent();
  },
  begin: () => NOT_CHOSEN,
  link() {},
  end() {},
};

/** A span that hands on the caller's context, where it is valid, and records nothing. */
export const passing = (traceparent: string | undefined): Span =>
  isTraceparent(traceparent) ? new Passing(traceparent) : NO_SPAN;

/** No traces are made; those of callers go through. */
export const NO_TRACING: Tracing = {
  isOn: false,
  serve: passing,
  begin: passing,
  record() {},
};
