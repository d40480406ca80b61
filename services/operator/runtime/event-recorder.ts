import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { GROUP, OPERATOR } from '#cdk8s/own-names.ts';
import { Backoff } from '#platform/backoff.ts';
import { pause } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import { type EventRecorder, type Kube, KubeError, type Ref, type StoredObject } from './kube.ts';

export interface RecorderSettings {
  /** A fenced client is right here as well: a process that is not the leader has nothing to report. */
  readonly kube: Pick<Kube, 'create' | 'patch'>;
  /** The replica that reports: its pod's name. */
  readonly instance: string;
  readonly log: Log;
  readonly timing?: Partial<Timing>;
}

interface Timing {
  /** Repeats within this time are counted in one Event. */
  readonly seriesMs: number;
  /** How often the count of an Event is written at most. */
  readonly countEveryMs: number;
  /** Events of one type about one object: at most `burst` at once, then one every `refillMs`. */
  readonly burst: number;
  readonly refillMs: number;
}
const TIMING: Timing = { seriesMs: 6 * 60_000, countEveryMs: 30_000, burst: 25, refillMs: 30_000 };
/** Events waiting to be sent; there are more only when the API server is down or slow. */
const MOST_WAITING = 200;
/** Series and allowances kept in memory. */
const MOST_REMEMBERED = 2_000;
/** Between tries to create an Event. Few: one that is minutes late is useless, and others wait behind it. */
const BACKOFF = { firstMs: 1_000, longestMs: 4_000 };
const MOST_TRIES = 4;
/** In bytes. */
const LONGEST_NOTE = 1_024;
const CLOSE_MS = 2_000;

export interface RunningRecorder extends EventRecorder {
  /** Sends waiting Events and counts, for two seconds at most, and stops. */
  close(): Promise<void>;
}

interface Series {
  readonly key: string;
  /** Null until the API server has the Event. */
  ref: Ref | null;
  readonly event: KubeObject;
  count: number;
  written: number;
  lastAt: number;
  lastSeen: Date;
  timer: NodeJS.Timeout | undefined;
}

const microTime = (date: Date) => date.toISOString().replace('Z', '000Z');

/** Records Events of `events.k8s.io/v1`: the first at once, its repeats as a count, and at a limited rate. */
export function openEventRecorder(settings: RecorderSettings): RunningRecorder {
  const { kube, instance, log } = settings;
  const timing = { ...TIMING, ...settings.timing };
  const series = new LRUCache<string, Series>({
    max: MOST_REMEMBERED,
    // What is forgotten, or begins anew, is counted to its end. An Event that is deleted has no count.
    dispose(past, _, why) {
      if (why === 'delete') return;
      clearTimeout(past.timer);
      send(() => writeCount(past));
    },
  });
  const allowances = new LRUCache<string, { left: number; at: number }>({ max: MOST_REMEMBERED });
  const closing = new AbortController();
  let closed = false;
  let waiting = 0;
  /** One at a time: Events must not compete with the operator's other calls for connections. */
  let sending: Promise<void> = Promise.resolve();

  const send = (what: () => Promise<void>) => {
    if (waiting >= MOST_WAITING) return;
    waiting += 1;
    sending = sending
      .then(() => (closed ? undefined : what()))
      .catch((err: unknown) => log.debug({ err }, 'could not record an Event'))
      .finally(() => {
        waiting -= 1;
      });
  };

  // What goes well does not use up what is left for warnings.
  const mayTell = (uid: string, type: string): boolean => {
    const key = `${uid}/${type}`;
    const now = performance.now();
    const { left, at } = allowances.get(key) ?? { left: timing.burst, at: now };
    const refilled = Math.min(timing.burst, left + (now - at) / timing.refillMs);
    allowances.set(key, { left: refilled < 1 ? refilled : refilled - 1, at: now });
    return refilled >= 1;
  };

  const create = async (one: Series): Promise<void> => {
    const backoff = new Backoff(BACKOFF);
    for (let tries = 1; ; tries++) {
      try {
        const { apiVersion, kind, metadata } = await kube.create(one.event);
        one.ref = { apiVersion, kind, name: metadata.name, namespace: metadata.namespace! };
        one.written = 1;
        if (one.count > 1) countLater(one);
        return;
      } catch (err) {
        // A namespace that is being deleted accepts no Events, and a refusal is final.
        const passing = err instanceof KubeError && (err.code === 0 || err.code === 429 || err.code >= 500);
        if (!passing || err.reason === 'NotLeading' || tries >= MOST_TRIES || closing.signal.aborted)
          throw err;
        await pause(err.retryAfterMs ?? backoff.next(), closing.signal);
      }
    }
  };

  const writeCount = async (one: Series): Promise<void> => {
    if (one.ref === null || one.written === one.count) return;
    const { count } = one;
    try {
      await kube.patch(one.ref, { series: { count, lastObservedTime: microTime(one.lastSeen) } });
      one.written = count;
    } catch (err) {
      // The API server deletes Events after an hour; the next repeat then starts a new one.
      if (err instanceof KubeError && err.code === 404) series.delete(one.key);
      throw err;
    }
  };
  const countLater = (one: Series) => {
    one.timer ??= setTimeout(() => {
      one.timer = undefined;
      send(() => writeCount(one));
    }, timing.countEveryMs);
    one.timer.unref();
  };

  function record(about: StoredObject, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const { apiVersion, kind, metadata } = about;
    const note = cut(message);
    const key = JSON.stringify([metadata.uid, type, reason, note]);
    const now = performance.now();
    const known = series.get(key);
    if (known && now - known.lastAt <= timing.seriesMs) {
      known.count += 1;
      known.lastAt = now;
      known.lastSeen = new Date();
      countLater(known);
      return;
    }
    if (!mayTell(metadata.uid, type)) {
      log.debug({ reason, note, name: metadata.name }, 'too many Events about one object; not recorded');
      return;
    }
    // By convention, objects without a namespace have their Events in this one.
    const namespace = metadata.namespace ?? 'default';
    const one: Series = {
      key,
      ref: null,
      event: {
        apiVersion: 'events.k8s.io/v1',
        kind: 'Event',
        metadata: { name: `${metadata.name.slice(0, 230)}.${randomBytes(8).toString('hex')}`, namespace },
        eventTime: microTime(new Date()),
        type,
        reason,
        note,
        action: reason,
        reportingController: `${GROUP}/${OPERATOR}`,
        reportingInstance: instance.slice(0, 128),
        regarding: {
          apiVersion,
          kind,
          name: metadata.name,
          ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
          uid: metadata.uid,
          resourceVersion: metadata.resourceVersion,
        },
      },
      count: 1,
      written: 0,
      lastAt: now,
      lastSeen: new Date(),
      timer: undefined,
    };
    series.set(key, one);
    send(() => create(one));
  }

  return {
    event(about, type, reason, message) {
      if (closing.signal.aborted) return;
      try {
        record(about, type, reason, message);
      } catch (err) {
        log.warn({ err, reason }, 'could not record an Event');
      }
    },
    async close() {
      closing.abort();
      for (const one of series.values()) {
        clearTimeout(one.timer);
        send(() => writeCount(one));
      }
      const sent = new AbortController();
      await Promise.race([sending.finally(() => sent.abort()), pause(CLOSE_MS, sent.signal)]);
      closed = true;
    },
  };
}

/** The message, shortened to what the API server accepts. */
function cut(message: string): string {
  const bytes = Buffer.from(message);
  if (bytes.length <= LONGEST_NOTE) return message;
  const mark = '...';
  let end = LONGEST_NOTE - mark.length;
  // Never cut inside a character: in UTF-8 its further bytes start with the bits 10.
  while ((bytes[end]! & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end) + mark;
}
