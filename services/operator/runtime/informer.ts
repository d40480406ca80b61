import { Backoff } from '#platform/backoff.ts';
import { pause } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import type { Api, WatchEvent } from './api.ts';
import { listAll } from './client.ts';
import { type Informer, type Kind, KubeError, type StoredObject } from './kube.ts';
import { collectionPath } from './resources.ts';

export interface InformerSettings {
  readonly kind: Kind;
  /** Null for all namespaces. */
  readonly namespace: string | null;
  readonly labelSelector?: string;
  /**
   * Called with every object once it is listed, and with every change after that, in order; `undefined` is a deletion.
   * A state that ends between two looks may be missed; the present state never is.
   */
  readonly onChange: (key: string, object: StoredObject | undefined) => void;
  readonly log: Log;
  /** Called when the collection is listed anew because a watch could not be resumed. */
  readonly onRelist?: () => void;
  readonly timing?: Partial<Timing>;
}

interface Timing {
  /** Deadline of a list and of a watch's acceptance. */
  readonly callMs: number;
  /**
   * The server ends a watch after between one and two times this. It sends a bookmark shortly before, so a watch that
   * is silent for longer is dead. Nothing else would show it: a half-open connection does not break.
   */
  readonly watchMs: number;
  /** How late the server's end of a watch may arrive. */
  readonly graceMs: number;
  readonly firstRetryMs: number;
  readonly maxRetryMs: number;
}
const TIMING: Timing = {
  callMs: 15_000,
  watchMs: 25_000,
  graceMs: 5_000,
  firstRetryMs: 200,
  maxRetryMs: 15_000,
};
/** After this many failed resumes in a row, the version they resume from is itself in doubt. */
const RESUMES = 5;

export interface RunningInformer extends Informer {
  /** Resolves true after the first list, false when stopped before it. */
  readonly listed: Promise<boolean>;
  stop(): Promise<void>;
}

export const keyOf = ({ metadata: { namespace, name } }: StoredObject): string =>
  namespace === undefined ? name : `${namespace}/${name}`;

/** Lists, then watches, for ever: only `stop` ends it, no failure of the API server or the network. */
export function startInformer(api: Api, settings: InformerSettings): RunningInformer {
  const { kind, namespace, labelSelector, log } = settings;
  const timing = { ...TIMING, ...settings.timing };
  const what = `${kind.kind} of ${namespace ?? 'all namespaces'}`;
  const objects = new Map<string, StoredObject>();
  const stopped = new AbortController();
  const first = Promise.withResolvers<boolean>();

  /** Where to resume from; null before the first list and when that point is lost. */
  let version: string | null = null;
  let everListed = false;
  /** When the server last sent something, on a monotonic clock. */
  let heardAt = performance.now();
  let trouble = '';
  const heard = () => {
    heardAt = performance.now();
    trouble = '';
  };

  const tell = (key: string, object: StoredObject | undefined) => {
    try {
      settings.onChange(key, object);
    } catch (err) {
      log.error({ err, key, kind: kind.kind }, 'a listener to changes failed');
    }
  };
  const put = (object: StoredObject) => {
    const key = keyOf(object);
    const before = objects.get(key);
    if (before?.metadata.resourceVersion === object.metadata.resourceVersion) return;
    // `managedFields` is half of an object's size, and the API server has it anyway.
    const { managedFields: _, ...metadata } = object.metadata as StoredObject['metadata'] & {
      managedFields?: unknown;
    };
    const slim = { ...object, metadata };
    objects.set(key, slim);
    tell(key, slim);
  };
  const remove = (key: string) => {
    if (objects.delete(key)) tell(key, undefined);
  };

  async function list(): Promise<void> {
    const { items, resourceVersion } = await listAll(
      api,
      kind,
      namespace,
      { labelSelector },
      timing.callMs,
      stopped.signal,
    );
    heard();
    const there = new Set(items.map(keyOf));
    for (const key of [...objects.keys()]) if (!there.has(key)) remove(key);
    for (const item of items) put(item);
    version = resourceVersion;
    if (everListed) settings.onRelist?.();
    everListed = true;
    first.resolve(true);
  }

  /** Runs one watch to its end. It went well when it received something, or when it lasted. */
  async function watch(from: string): Promise<{ wentWell: boolean; failed: unknown }> {
    const seconds = Math.ceil((timing.watchMs * (1 + Math.random())) / 1_000);
    const end = new AbortController();
    const stop = () => end.abort();
    stopped.signal.addEventListener('abort', stop, { once: true });
    let overdue = false;
    let acceptedAt = Number.POSITIVE_INFINITY;
    let wentWell = false;
    let failed: unknown = null;
    let timer: NodeJS.Timeout | undefined;
    try {
      const events = await api.watch(
        {
          path: collectionPath(kind, namespace),
          query: {
            watch: 'true',
            allowWatchBookmarks: 'true',
            resourceVersion: from,
            timeoutSeconds: String(seconds),
            ...(labelSelector === undefined ? {} : { labelSelector }),
          },
          about: what,
        },
        timing.callMs,
        end,
      );
      heard();
      acceptedAt = performance.now();
      timer = setTimeout(
        () => {
          overdue = true;
          end.abort();
        },
        seconds * 1_000 + timing.graceMs,
      );
      for await (const event of events) {
        if (stopped.signal.aborted) break;
        take(event);
        wentWell = true;
        heard();
      }
      if (overdue) {
        throw new KubeError(
          `watch ${what}: not ended after ${seconds} s; the connection is dead`,
          0,
          'Silent',
        );
      }
      heard();
    } catch (err) {
      failed = err;
    } finally {
      clearTimeout(timer);
      stopped.signal.removeEventListener('abort', stop);
      end.abort();
    }
    return { wentWell: wentWell || performance.now() - acceptedAt > 1_000, failed };
  }

  function take({ type, object }: WatchEvent): void {
    switch (type) {
      case 'ADDED':
      case 'MODIFIED':
        put(object);
        break;
      case 'DELETED':
        remove(keyOf(object));
        break;
      case 'BOOKMARK':
        break;
      case 'ERROR': {
        const { code = 500, reason = 'Unknown', message = 'no reason given', details } = object ?? {};
        const seconds = details?.retryAfterSeconds;
        throw new KubeError(`watch ${what}: ${message}`, code, reason, seconds ? seconds * 1_000 : null);
      }
      default:
        throw new KubeError(`watch ${what}: an event of unknown type ${type}`, 0, 'Unknown');
    }
    version = object.metadata.resourceVersion;
  }

  async function run(): Promise<void> {
    let failures = 0;
    const backoff = new Backoff({ firstMs: timing.firstRetryMs, longestMs: timing.maxRetryMs });
    let refusals = 0;
    while (!stopped.signal.aborted) {
      let failed: unknown = null;
      if (version === null) {
        try {
          await list();
          continue;
        } catch (err) {
          failed = err;
        }
      } else {
        const { wentWell, ...watched } = await watch(version);
        failed = watched.failed;
        if (wentWell) {
          failures = refusals = 0;
          backoff.reset();
        }
        // A server that accepts watches and ends them at once must not be asked without a pause.
        else if (failed === null) failures += 1;
      }
      if (stopped.signal.aborted) return;
      let waitMs = 0;
      if (failed !== null) {
        failures += 1;
        trouble = (failed as Error).message;
        if (failed instanceof KubeError) {
          waitMs = failed.retryAfterMs ?? 0;
          if (failed.code > 0) refusals += 1;
          if (failed.code === 410 || (failed.code > 0 && refusals % RESUMES === 0)) version = null;
          log.info({ kind: kind.kind, code: failed.code, because: trouble }, 'watches again');
        } else log.error({ err: failed, kind: kind.kind }, 'an informer failed; trying again');
      }
      // An expired version (410) is cured by a list, without a wait; one that keeps expiring waits like other failures.
      const cured = failures === 1 && failed instanceof KubeError && failed.code === 410;
      if (failures === 0 || cured) continue;
      // The jitter is added to what the server asked for: never earlier, and not all clients at once.
      await pause(waitMs + backoff.next(), stopped.signal);
    }
  }
  const running = run().finally(() => first.resolve(false));

  return {
    listed: first.promise,
    get: (inNamespace, name) => objects.get(inNamespace === '' ? name : `${inNamespace}/${name}`),
    list: () => [...objects.values()],
    staleBecause() {
      if (!everListed) return `${what}: not listed yet${trouble && `: ${trouble}`}`;
      const silentMs = performance.now() - heardAt;
      const longest = 2 * timing.watchMs + 2 * timing.graceMs;
      if (silentMs <= longest) return null;
      return `${what}: nothing heard for ${Math.round(silentMs / 1_000)} s${trouble && `: ${trouble}`}`;
    },
    async stop() {
      stopped.abort();
      await running;
    },
  };
}
