import { GROUP } from '#cdk8s/own-names.ts';
import { pause } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import { type Kube, KubeError, type Ref, type StoredObject } from './kube.ts';

/** One leadership, from winning the lease to losing or releasing it. */
export interface Term {
  /** Start nothing new: the process stops, or the lease is lost. */
  readonly ending: AbortSignal;
  /** Abort what is in flight: another process may act soon. */
  readonly lost: AbortSignal;
  /** Compares with the clock, because a process may sleep through its timers. Call it right before every act. */
  isHeld(): boolean;
}

export interface ElectionSettings {
  /** Needs a deadline of `renewEveryMs` at most: after two renewals that hang, `validMs` leaves time for a third. */
  readonly kube: Pick<Kube, 'get' | 'create' | 'replace'>;
  readonly namespace: string;
  readonly name: string;
  /** Names this process among the candidates; no other process, and no later start of this one, may use it. */
  readonly identity: string;
  /**
   * Does the work of a leader until `term.ending`, and resolves when all of it has ended. Only then does the process
   * stand for election again. A throw releases the lease, because another candidate may be luckier.
   */
  readonly lead: (term: Term) => Promise<void>;
  readonly onLeads?: (leads: boolean) => void;
  /**
   * The installation that this candidate is of, as `namespace/name`. Another one gives way to it: it takes a lease only
   * when that has lain still for `strangerMs`, so that an upgrade of the one does not hand the namespace to the other.
   */
  readonly operator: string;
  /** Told, while this candidate leads, which other installations would. */
  readonly onRivals?: (operators: readonly string[]) => void;
  /** Told which other installation has the lease, again at times; null when none does. */
  readonly onLedBy?: (operator: string | null) => void;
  readonly log: Log;
  readonly timing?: Partial<Timing>;
}

interface Timing {
  /** Other candidates take the lease when it has not changed for this long, in whole seconds. */
  readonly leaseMs: number;
  /**
   * The leader itself stops this long after the instant before its last renewal was sent. The difference to `leaseMs`
   * is for calls in flight.
   */
  readonly validMs: number;
  readonly renewEveryMs: number;
  /** How often a candidate looks at the lease; a released lease is taken within this time. */
  readonly tryEveryMs: number;
  /** How long the work may take to end by itself before it is aborted. */
  readonly endMs: number;
  /** How long a lease of another installation has to lie still, released or not, before it is taken. */
  readonly strangerMs: number;
  /** How often a candidate says in another installation's lease that it is there. */
  readonly announceEveryMs: number;
}
// Three renewals may be slow or lost before leadership is lost: on a node with both cores busy the API server needed
// more than a second for one, and with 6 s a leader lost its lease three times during an install.
export const TIMING: Timing = {
  leaseMs: 10_000,
  validMs: 7_500,
  renewEveryMs: 2_000,
  tryEveryMs: 500,
  endMs: 1_000,
  strangerMs: 120_000,
  announceEveryMs: 60_000,
};

/** On a lease: the installation that took it last, and others that would, each with when it said so. */
const OPERATOR_ANNOTATION = `${GROUP}/operator`;
const RIVALS_ANNOTATION = `${GROUP}/also-watched-by`;

const rivalsOn = ({ metadata: { annotations } }: StoredObject): Map<string, string> =>
  new Map(
    (annotations?.[RIVALS_ANNOTATION] ?? '')
      .split(', ')
      .map((text) => [text.split(' ')[0]!, text] as const)
      .filter(([name]) => name !== ''),
  );

export interface Election {
  isLeader(): boolean;
  /** Ends the term if there is one, and releases the lease so that another can take it at once. */
  stop(): Promise<void>;
}

interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly leaseTransitions?: number;
  readonly acquireTime?: string;
}

/** Kubernetes requires exactly six digits after the second. */
const microTime = () => new Date().toISOString().replace('Z', '000Z');

/** An instant on both clocks. The monotonic clock stands still while a machine sleeps; the wall clock can be set. */
interface Instant {
  readonly monotonic: number;
  readonly wall: number;
}
const instant = (): Instant => ({ monotonic: performance.now(), wall: Date.now() });
/** At least the time that has passed, unless the wall clock is set back during a sleep. */
const atMostSince = (then: Instant) => Math.max(performance.now() - then.monotonic, Date.now() - then.wall);

/**
 * Stands for election until stopped, and leads whenever it holds the lease. The lease is changed by compare-and-swap on
 * `resourceVersion`. Times written by others are never compared with this clock; what counts is how long ago this
 * process saw the lease change.
 */
export function startElection(settings: ElectionSettings): Election {
  const { kube, namespace, name, identity, operator, lead, log } = settings;
  const timing = { ...TIMING, ...settings.timing };
  const ref: Ref = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', namespace, name };
  const stopping = new AbortController();
  let term: Term | null = null;

  const spec = (before: LeaseSpec): LeaseSpec & { renewTime: string } => {
    const mine = before.holderIdentity === identity;
    const now = microTime();
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(timing.leaseMs / 1_000),
      acquireTime: mine ? (before.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: (before.leaseTransitions ?? 0) + (mine ? 0 : 1),
    };
  };

  /** Other installations that say they would lead, and when they were seen to say so last. */
  const rivals = new Map<string, { readonly text: string; readonly at: number }>();
  let toldRivals = '';
  const noteRivals = (lease: StoredObject) => {
    for (const [rival, text] of rivalsOn(lease)) {
      if (rival !== operator && rivals.get(rival)?.text !== text)
        rivals.set(rival, { text, at: performance.now() });
    }
    for (const [rival, { at }] of rivals)
      if (performance.now() - at > 3 * timing.announceEveryMs) rivals.delete(rival);
    const now = [...rivals.keys()].sort();
    if (now.join() === toldRivals) return;
    toldRivals = now.join();
    settings.onRivals?.(now);
  };
  const write = (lease: StoredObject): Promise<StoredObject> => {
    noteRivals(lease);
    const { [RIVALS_ANNOTATION]: _, ...others } = lease.metadata.annotations ?? {};
    const told = [...rivals.values()].map(({ text }) => text).join(', ');
    const annotations = {
      ...others,
      [OPERATOR_ANNOTATION]: operator,
      ...(told === '' ? {} : { [RIVALS_ANNOTATION]: told }),
    };
    return kube.replace({
      ...lease,
      metadata: { ...lease.metadata, annotations },
      spec: spec(lease.spec ?? {}),
    });
  };
  const create = (): Promise<StoredObject> => {
    const { apiVersion, kind } = ref;
    const annotations = { [OPERATOR_ANNOTATION]: operator };
    return kube.create({ apiVersion, kind, metadata: { name, namespace, annotations }, spec: spec({}) });
  };

  /** The other installation that a lease is of. One that does not say so is of an operator in its namespace. */
  const strangerOf = ({ metadata: { annotations } }: StoredObject): string | null => {
    const holder = annotations?.[OPERATOR_ANNOTATION];
    if (holder !== undefined) return holder === operator ? null : holder;
    return operator.startsWith(`${namespace}/`) ? null : `${namespace}/${name}`;
  };
  let announcedAt = Number.NEGATIVE_INFINITY;
  /** Says in a lease of another installation that this one is there as well: its leader has the say in conditions. */
  const giveWay = async (lease: StoredObject, stranger: string): Promise<void> => {
    if (performance.now() - announcedAt < timing.announceEveryMs) return;
    settings.onLedBy?.(stranger);
    const others = rivalsOn(lease).set(operator, `${operator} ${microTime()}`);
    const annotations = {
      ...lease.metadata.annotations,
      [RIVALS_ANNOTATION]: [...others.values()].join(', '),
    };
    await kube.replace({ ...lease, metadata: { ...lease.metadata, annotations } });
    announcedAt = performance.now();
  };

  /** What was last seen of the lease, and since when it has been seen; '' means absent. */
  let seen: { readonly state: string; readonly at: number } | null = null;

  /** Tries once. @returns the lease and when it was asked for; null while another holds it */
  async function tryToTake(): Promise<{ lease: StoredObject; askedAt: Instant } | null> {
    const lease = await kube.get(ref);
    // Not its version: who gives way writes into it as well.
    const state = lease ? `${lease.metadata.uid} ${JSON.stringify(lease.spec)}` : '';
    const firstLook = seen === null;
    if (seen?.state !== state) seen = { state, at: performance.now() };
    const unchangedMs = performance.now() - seen.at;
    const askedAt = instant();
    if (lease === null) {
      // The leader whose lease somebody deleted does not know it yet.
      if (!firstLook && unchangedMs <= timing.leaseMs) return null;
      return { lease: await create(), askedAt };
    }
    const { holderIdentity, leaseDurationSeconds } = (lease.spec ?? {}) as LeaseSpec;
    const promisedMs = leaseDurationSeconds ? leaseDurationSeconds * 1_000 : timing.leaseMs;
    // The lease may be ours already: an earlier call of ours had no answer.
    const held = holderIdentity && holderIdentity !== identity;
    const stranger = strangerOf(lease);
    if (unchangedMs <= Math.max(held ? promisedMs : -1, stranger ? timing.strangerMs : -1)) {
      if (stranger) await giveWay(lease, stranger);
      return null;
    }
    return { lease: await write(lease), askedAt };
  }

  /** @returns the renewed lease; null when another holds it */
  async function renew(lease: StoredObject): Promise<StoredObject | null> {
    try {
      return await write(lease);
    } catch (err) {
      if (!(err instanceof KubeError) || (err.code !== 409 && err.code !== 404)) throw err;
      // The lease changed, perhaps by a call of ours that had no answer; or somebody deleted it.
      const found = await kube.get(ref);
      if (found === null) return create();
      return found.spec?.holderIdentity === identity ? write(found) : null;
    }
  }

  /** Leads with a lease just taken until the term ends; resolves when all work has ended and the lease is released. */
  async function serve(taken: { lease: StoredObject; askedAt: Instant }): Promise<void> {
    let { lease, askedAt: provenAt } = taken;
    const ending = new AbortController();
    const lost = new AbortController();
    const current: Term = {
      ending: ending.signal,
      lost: lost.signal,
      isHeld: () => !ending.signal.aborted && atMostSince(provenAt) < timing.validMs,
    };
    const lose = (why: string) => {
      if (ending.signal.aborted) return;
      log.warn({ lease: name, why }, 'lost the leadership');
      ending.abort();
      lost.abort();
    };
    const expire = () => lose(`no renewal reached the API server for ${timing.validMs} ms`);
    let expiry: NodeJS.Timeout | undefined;
    const extend = (askedAt: Instant) => {
      provenAt = askedAt;
      clearTimeout(expiry);
      expiry = setTimeout(expire, timing.validMs - atMostSince(provenAt));
    };
    extend(provenAt);
    const end = () => ending.abort();
    stopping.signal.addEventListener('abort', end);
    ending.signal.addEventListener('abort', () => {
      clearTimeout(expiry);
      settings.onLeads?.(false);
    });

    term = current;
    announcedAt = Number.NEGATIVE_INFINITY;
    settings.onLedBy?.(null);
    settings.onLeads?.(true);
    log.info({ lease: name, identity }, 'leads');
    let failed = false;
    const work = Promise.resolve(current)
      .then(lead)
      .catch((err: unknown) => {
        failed = !ending.signal.aborted;
        log[failed ? 'error' : 'debug']({ err }, 'the work of the leader failed');
      })
      .finally(end);

    let waitMs = timing.renewEveryMs;
    while (!ending.signal.aborted) {
      await pause(waitMs, ending.signal);
      if (ending.signal.aborted) break;
      const askedAt = instant();
      try {
        const renewed = await renew(lease);
        if (renewed === null) lose('another holds the lease');
        else {
          lease = renewed;
          if (!ending.signal.aborted) extend(askedAt);
        }
        waitMs = timing.renewEveryMs;
      } catch (err) {
        waitMs = Math.max(timing.renewEveryMs / 6, (err instanceof KubeError && err.retryAfterMs) || 0);
        log.warn({ err, lease: name }, 'could not renew the lease; trying again');
      }
    }

    const wasLost = lost.signal.aborted;
    const breakOff = setTimeout(() => lost.abort(), timing.endMs);
    const slow = setTimeout(() => {
      log.error({ lease: name }, 'the work of a leader goes on after its term; not standing until it ends');
    }, 10 * timing.endMs);
    await work;
    clearTimeout(breakOff);
    clearTimeout(slow);
    stopping.signal.removeEventListener('abort', end);
    term = null;
    // Only after all work: the next holder may act at once.
    if (!wasLost) await release(lease);
    if (failed) await pause(timing.leaseMs, stopping.signal);
  }

  async function release(lease: StoredObject): Promise<void> {
    const given = (from: StoredObject) => {
      const { holderIdentity: _, ...rest } = from.spec as LeaseSpec;
      return kube.replace({ ...from, spec: { ...rest, leaseDurationSeconds: 1, renewTime: microTime() } });
    };
    try {
      await given(lease).catch(async (err: unknown) => {
        // The last renewal may have had no answer.
        const found = err instanceof KubeError && err.code === 409 ? await kube.get(ref) : null;
        if (found?.spec?.holderIdentity !== identity) throw err;
        return given(found);
      });
      log.info({ lease: name }, 'gave the lease back');
    } catch (err) {
      log.warn({ err, lease: name }, 'could not give the lease back; it runs out by itself');
    }
  }

  async function run(): Promise<void> {
    let trouble = '';
    while (!stopping.signal.aborted) {
      let waitMs = timing.tryEveryMs;
      try {
        const taken = await tryToTake();
        trouble = '';
        if (taken !== null) {
          await (stopping.signal.aborted ? release(taken.lease) : serve(taken));
          continue;
        }
      } catch (err) {
        const { code, retryAfterMs, message } = err as KubeError;
        waitMs = Math.max(waitMs, retryAfterMs ?? 0);
        // Another candidate was faster: no failure.
        if (code !== 409 && message !== trouble) {
          trouble = message;
          log.warn({ err, lease: name }, 'could not look at the lease; trying again');
        }
      }
      await pause(waitMs * (0.75 + Math.random() / 4), stopping.signal);
    }
  }
  const running = run();

  return {
    isLeader: () => term?.isHeld() ?? false,
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
