import type { ViewId } from '#cdk8s/api/page-view.ts';
import { PLATFORM_NAME, ROTATE_CALLERS_ANNOTATION, type TopClientsSpec } from '#cdk8s/api/top-clients.ts';
import { fingerprint } from '#cdk8s/constructs/fingerprint.ts';
import { projectorInstance } from '#cdk8s/constructs/projector.ts';
import { imageReference, names, type Platform, partitionsOf } from '#cdk8s/platform.ts';
import type { ViewPage } from '#contracts/pages.ts';
import { ClusterSnapshot, type Warning } from '../runtime/cluster-snapshot.ts';
import { conditionOf } from '../runtime/conditions.ts';
import { isForbidden, type Kube, type StoredObject } from '../runtime/kube.ts';
import { isEnding } from './finalizer.ts';
import {
  BUILT_IN,
  CLAIM,
  EVENT,
  OF_OTHERS,
  OUR_PODS,
  OURS,
  PAGE_VIEW,
  POD,
  POD_MONITOR,
  SCALED_OBJECT,
  SECRET,
  TOP_CLIENTS,
} from './kinds.ts';
import { type ExternalSecrets, externalSecrets } from './page/external-secrets.ts';
import type { Layout } from './partitions/layout.ts';
import type { Pages } from './platform/connections.ts';
import { observeDivision } from './platform/database-servers.ts';
import type { DefinitionsState } from './platform/definitions.ts';
import {
  encoded,
  hasWrongOwner,
  isToRotate,
  lackOf,
  type MadeSecret,
  passwordSecrets,
  rotationAsked,
  secretsNeeded,
  secretsToMake,
} from './platform/secrets.ts';
import { type UnshownViews, unshownViews } from './platform/unshown-views.ts';
import type { Pod } from './scaling/lag.ts';
import { isMute, lastWarning } from './status/pod-causes.ts';
import { memoryIn, type Read, readPageSpec, readPageStatus, readPlatformSpec } from './status/read-spec.ts';
import { isLeaving, type Lag, type ViewMemory } from './view-switch/view-switch.ts';

/** What was observed of a namespace's platform, for the plan of the platform and of every page. */
export interface ObservedPlatform {
  readonly now: number;
  readonly namespace: string;
  /** The TopClients; null when there is none. */
  readonly object: StoredObject | null;
  readonly snapshot: ClusterSnapshot;
  /** What the objects are built from; null without a TopClients. */
  readonly platform: Read<Platform> | null;
  /** Secrets of the platform that must be made. */
  readonly secretsMissing: readonly MadeSecret[];
  /** Those of them whose password data was initialised with, or is given to a database that is there: it was lost. */
  readonly secretsLost: readonly string[];
  /** Secrets of the platform that must be rotated, as they are now. */
  readonly secretsToRotate: readonly { readonly secret: MadeSecret; readonly live: StoredObject }[];
  /** Secrets of the platform that are to go with it and do not, or the other way round. */
  readonly secretOwners: readonly { readonly live: StoredObject; readonly owned: boolean }[];
  /** What is wrong with the secrets that the spec points at. */
  readonly secretsLack: readonly string[];
  /** How the definitions in the cluster are, against those of this version. */
  readonly definitions: DefinitionsState;
  /** Whose namespace this is. */
  readonly operators: Operators;
  /** The partition layout that the relays report; null while none does. */
  readonly layout: Layout | null;
  /** The pages, as far as their specs can be read. */
  readonly pages: Pages;
  /** Of every page that there is. */
  readonly unshown: UnshownViews;
}

export interface ObservedPage
  extends Pick<ObservedPlatform, 'now' | 'namespace' | 'object' | 'snapshot' | 'platform'> {
  readonly page: StoredObject;
  readonly name: ViewPage;
  /** Whether the namespace is being deleted; only asked for a page that is. */
  readonly namespaceEnds: boolean;
  /** The secrets of a page of somebody else; null for one of ours, and while they cannot be told. */
  readonly external: ExternalSecrets | null;
  readonly memory: Read<ViewMemory>;
  readonly lag: { readonly shown: Lag | null; readonly building: Lag | null };
  /** What a projector of the shown view says that is not ready; null when all are, or none says anything. */
  readonly notReadyBecause: string | null;
}

/** The installations that are to work in the namespace, as `namespace/name`. */
export interface Operators {
  readonly leads: string;
  readonly wait: readonly string[];
}

export interface GatherSettings {
  readonly kube: Pick<Kube, 'get' | 'list' | 'serves'>;
  readonly namespace: string;
  /** The operator's own image, for a platform whose spec names none. */
  readonly image: string;
  readonly now: () => number;
  readonly definitions: () => DefinitionsState;
  readonly operators: () => Operators;
  readonly readLayout: (relays: readonly Pod[]) => Promise<Layout | null>;
  readonly readLag: (pods: readonly Pod[], partitions: number) => Promise<Lag>;
  readonly whyNotReady: (pods: readonly Pod[]) => Promise<string | null>;
}

/** Gathers all that decisions about the platform need. */
export async function gatherPlatform(settings: GatherSettings): Promise<ObservedPlatform> {
  const { kube, namespace } = settings;
  const [object, snapshot] = await Promise.all([
    kube.get({ ...TOP_CLIENTS, namespace, name: PLATFORM_NAME }),
    gatherSnapshot(settings),
  ]);
  const platform = object && (await readPlatform(settings, object, snapshot));
  const built = platform && 'read' in platform ? platform.read : null;
  const { passwords, ...secrets } = built ? await gatherSecrets(settings, built, object!) : NO_SECRETS;
  const layout = built ? await settings.readLayout(runningPods(snapshot, 'outbox-relay')) : null;
  return {
    now: settings.now(),
    namespace,
    object,
    snapshot,
    platform: built && passwords !== null ? { read: { ...built, passwords } } : platform,
    ...secrets,
    secretsLost: built ? await lostOf(settings, built, secrets.secretsMissing, snapshot) : [],
    definitions: settings.definitions(),
    operators: settings.operators(),
    layout,
    ...(await gatherPages(settings)),
  };
}

async function gatherPages({
  kube,
  namespace,
}: GatherSettings): Promise<Pick<ObservedPlatform, 'pages' | 'unshown'>> {
  const pages: Pages[number][] = [];
  const unshown = new Map<string, readonly ViewId[]>();
  for (const { metadata, spec, status } of await kube.list(PAGE_VIEW, namespace)) {
    const { name } = metadata;
    const [wanted, is] = [readPageSpec(spec), readPageStatus(status)];
    if ('read' in wanted) pages.push({ name, spec: wanted.read });
    unshown.set(name, 'read' in wanted && 'read' in is ? unshownViews(wanted.read, memoryIn(is.read)) : []);
  }
  return { pages, unshown };
}

/** Gathers all that decisions about one page need; null when there is no PageView of that name. */
export async function gatherPage(settings: GatherSettings, name: string): Promise<ObservedPage | null> {
  const { kube, namespace } = settings;
  const page = await kube.get({ ...PAGE_VIEW, namespace, name });
  if (!page) return null;
  const status = readPageStatus(page.status);
  const memory: Read<ViewMemory> = 'read' in status ? { read: memoryIn(status.read) } : status;
  const settled = 'read' in memory && memory.read.building === null && !memory.read.kept.some(isLeaving);
  const [object, snapshot] = await Promise.all([
    kube.get({ ...TOP_CLIENTS, namespace, name: PLATFORM_NAME }),
    gatherSnapshot(settings, !settled || page.metadata.deletionTimestamp !== undefined),
  ]);
  const platform = object && (await readPlatform(settings, object, snapshot));
  const lagOf = async (view: ViewId | null): Promise<Lag | null> =>
    view && platform && 'read' in platform
      ? settings.readLag(
          runningPods(snapshot, 'projector', projectorInstance(name, view)),
          partitionsOf(platform.read),
        )
      : null;
  const { shown, building } = 'read' in memory ? memory.read : { shown: null, building: null };
  const [ofShown, ofBuilding] = await Promise.all([
    lagOf(shown && 'version' in shown ? shown : null),
    lagOf(building),
  ]);
  return {
    now: settings.now(),
    namespace,
    object,
    snapshot,
    platform,
    page,
    name,
    namespaceEnds: page.metadata.deletionTimestamp !== undefined && (await isEnding(kube, namespace)),
    external: await gatherExternal(settings, name, page, platform),
    memory,
    lag: { shown: ofShown, building: ofBuilding },
    notReadyBecause:
      shown && 'version' in shown ? await notReadyBecause(settings, snapshot, name, shown) : null,
  };
}

/** @param moving what follows cannot be undone: pods are read from the API server, not from a cache */
async function gatherSnapshot(
  { kube, namespace, now }: GatherSettings,
  moving = false,
): Promise<ClusterSnapshot> {
  const optional = await Promise.all(
    OF_OTHERS.map(async (kind) => ((await kube.serves(kind)) ? [kind] : [])),
  );
  const kinds = [...BUILT_IN, ...optional.flat()];
  const [pods, ...objects] = await Promise.all([
    kube.list(POD, namespace, OUR_PODS, { fresh: moving }),
    ...kinds.map((kind) => kube.list(kind, namespace, OURS)),
  ]);
  return new ClusterSnapshot(objects.flat(), pods, kinds, await gatherWarnings(kube, namespace, pods, now()));
}

/** Pods whose Events are asked for in one reconcile; of many in the same trouble a few say enough. */
const MOST_MUTE = 3;

/** What Events say of pods that do not get on without a word in their status: above all, volumes that do not mount. */
async function gatherWarnings(
  kube: Pick<Kube, 'list'>,
  namespace: string,
  pods: readonly StoredObject[],
  now: number,
): Promise<ReadonlyMap<string, Warning>> {
  const mute = pods.filter((pod) => isMute(pod, now)).slice(0, MOST_MUTE);
  const told = await Promise.all(
    mute.map(async ({ metadata: { name, uid } }) => {
      const fieldSelector = `involvedObject.kind=Pod,involvedObject.name=${name},type=Warning`;
      try {
        const warning = lastWarning(await kube.list(EVENT, namespace, undefined, { fieldSelector }));
        return warning ? [[uid, warning] as const] : [];
      } catch (err) {
        if (!isForbidden(err)) throw err;
        return [];
      }
    }),
  );
  return new Map(told.flat());
}

async function readPlatform(
  { kube, namespace, image }: GatherSettings,
  object: StoredObject,
  snapshot: ClusterSnapshot,
): Promise<Read<Platform>> {
  const spec = readPlatformSpec(object.spec);
  if ('invalid' in spec) return spec;
  const partitions = object.status?.partitions as number | undefined;
  const callers = spec.read.source.callers.existingSecret
    ? null
    : await kube.get({ ...SECRET, namespace, name: names.callers });
  // A secret that does not exist yet is made for the rotation that is asked for, so its pods need not start twice.
  const callersRotated = spec.read.source.callers.existingSecret
    ? undefined
    : callers
      ? callers.metadata.annotations?.[ROTATE_CALLERS_ANNOTATION]
      : rotationAsked(object.metadata.annotations ?? {});
  const databaseServers = await observeDivision(kube, object, spec.read, snapshot);
  return {
    read: {
      namespace,
      spec: spec.read,
      image: imageOf(spec.read, image),
      capabilities: { keda: snapshot.serves(SCALED_OBJECT), monitoring: snapshot.serves(POD_MONITOR) },
      ...(partitions === undefined ? {} : { partitions }),
      ...(databaseServers === undefined ? {} : { databaseServers }),
      ...(callersRotated === undefined ? {} : { callersRotated }),
    },
  };
}

/** The image that roles run: the platform's, else the operator's own. */
export function imageOf({ image }: Pick<TopClientsSpec, 'image'>, own: string): string {
  if (!image) return own;
  if (image.digest || image.tag) return imageReference(image);
  const tag = /:([^:/@]+)$/.exec(own)?.[1];
  return imageReference({ ...image, tag: tag ?? 'latest' });
}

async function gatherExternal(
  { kube, namespace }: GatherSettings,
  name: ViewPage,
  page: StoredObject,
  platform: Read<Platform> | null,
): Promise<ExternalSecrets | null> {
  const spec = readPageSpec(page.spec);
  if ('invalid' in spec || !spec.read.external || !platform || 'invalid' in platform) return null;
  return externalSecrets(name, spec.read.external, platform.read, async (secret) => {
    try {
      return await kube.get({ ...SECRET, namespace, name: secret });
    } catch (err) {
      if (!isForbidden(err)) throw err;
      return 'forbidden';
    }
  });
}

interface ObservedSecrets
  extends Pick<ObservedPlatform, 'secretsMissing' | 'secretsToRotate' | 'secretOwners' | 'secretsLack'> {
  /** Changes with the passwords of an embedded PostgreSQL; null without one, and while one of them is missing. */
  readonly passwords: string | null;
}
const NO_SECRETS: ObservedSecrets = {
  secretsMissing: [],
  secretsToRotate: [],
  secretOwners: [],
  secretsLack: [],
  passwords: null,
};

async function gatherSecrets(
  { kube, namespace }: GatherSettings,
  platform: Platform,
  object: StoredObject,
): Promise<ObservedSecrets> {
  const missing: MadeSecret[] = [];
  const toRotate: { secret: MadeSecret; live: StoredObject }[] = [];
  const owners: { live: StoredObject; owned: boolean }[] = [];
  const lack: string[] = [];
  const contents: (readonly [name: string, data: unknown])[] = [];
  const look = (name: string) => kube.get({ ...SECRET, namespace, name });
  for (const secret of secretsToMake(platform, object.metadata.annotations)) {
    const live = await look(secret.name);
    if (!live) {
      // Made now, so that what is applied with it already knows it.
      const content = secret.make();
      missing.push({ ...secret, make: () => content });
      contents.push([secret.name, encoded(content)]);
    } else {
      if (isToRotate(secret, live)) toRotate.push({ secret, live });
      else if (hasWrongOwner(secret, live, object)) owners.push({ live, owned: secret.owned });
      lack.push(...[lackOf(secret, live) ?? []].flat());
      contents.push([secret.name, live['data']]);
    }
  }
  for (const secret of secretsNeeded(platform)) {
    try {
      const live = await look(secret.name);
      lack.push(...[lackOf(secret, live) ?? []].flat());
      contents.push([secret.name, live?.['data']]);
    } catch (err) {
      if (!isForbidden(err)) throw err;
    }
  }
  return {
    secretsMissing: missing,
    secretsToRotate: toRotate,
    secretOwners: owners,
    secretsLack: lack,
    passwords: passwordsOf(platform, contents),
  };
}

/**
 * All passwords together: those that the operator made are long, so that one of somebody's own cannot be guessed from
 * the result.
 */
function passwordsOf(
  platform: Platform,
  contents: readonly (readonly [name: string, data: unknown])[],
): string | null {
  const { mode, embedded } = platform.spec.postgres;
  if (mode !== 'embedded') return null;
  const relevant = new Set([embedded.existingSecret, ...passwordSecrets(platform)]);
  const all = contents.filter(([name]) => relevant.has(name));
  return all.every(([, data]) => data !== undefined)
    ? fingerprint(all.map(([name, data]) => [name, Object.entries(data as object).sort()]))
    : null;
}

/** Passwords that are missing though what they open is there. */
async function lostOf(
  { kube, namespace }: GatherSettings,
  platform: Platform,
  missing: readonly MadeSecret[],
  snapshot: ClusterSnapshot,
): Promise<readonly string[]> {
  const ofDatabases = new Set(passwordSecrets(platform));
  const lost = missing.filter(({ name }) => ofDatabases.has(name)).map(({ name }) => name);
  if (lost.length === 0) return [];
  const clusters = snapshot.all().filter(({ kind }) => kind === 'Cluster' || kind === 'StatefulSet');
  if (clusters.some(({ metadata }) => metadata.labels?.['app.kubernetes.io/component'] === 'postgres'))
    return lost;
  const claim = { ...CLAIM, namespace, name: `data-${names.postgres}-0` };
  return platform.spec.postgres.mode === 'embedded' && (await kube.get(claim)) !== null ? lost : [];
}

async function notReadyBecause(
  settings: GatherSettings,
  snapshot: ClusterSnapshot,
  page: ViewPage,
  view: ViewId,
): Promise<string | null> {
  const pods = runningPods(snapshot, 'projector', projectorInstance(page, view));
  const ready = new Set(
    snapshot.pods
      .filter((pod) => conditionOf(pod, 'Ready')?.status !== 'False')
      .map((pod) => pod.metadata.name),
  );
  const unready = pods.filter(({ name }) => !ready.has(name));
  return unready.length > 0 ? settings.whyNotReady(unready) : null;
}

/** The running pods of a workload. A terminating pod has given up its partitions or lease, or will soon. */
function runningPods(snapshot: ClusterSnapshot, component: string, instance: string = component): Pod[] {
  return snapshot.pods.flatMap(({ metadata, status }) => {
    const { labels = {}, deletionTimestamp, name } = metadata;
    const isOne =
      labels['app.kubernetes.io/component'] === component &&
      labels['app.kubernetes.io/instance'] === instance;
    const runs = status?.phase === 'Running' && status.podIP && !deletionTimestamp;
    return isOne && runs ? [{ name, ip: status.podIP as string }] : [];
  });
}
