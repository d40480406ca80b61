import type { IRegularForbiddenRuleType } from 'dependency-cruiser';

const rule = (
  name: string,
  comment: string,
  from: IRegularForbiddenRuleType['from'],
  to: IRegularForbiddenRuleType['to'],
): IRegularForbiddenRuleType => ({ name, comment, severity: 'error', from, to });

const SPECS = '\\.spec\\.ts$';
/** Files that run only on a developer's machine; nothing in the image may import them. */
const WORKBENCH =
  '^(services/(demo|local-stack|.+/testing)/|generate/|cdk8s/testing/|tests/|bench/|dashboards/(?!rules/|promql\\.ts|objectives\\.ts))';
/** Files in the image. */
export const PRODUCTION = { path: '^(services|cdk8s|dashboards)/', pathNot: `${SPECS}|${WORKBENCH}` };
/** What is compared with the Kafka client as it comes: the least program that does our work, and its partitioner. */
const BARE_KAFKAJS =
  '^bench/(bare-(producer|projector|relay)|calibration-program|transactions)\\.ts$|^tests/contract/partition\\.spec\\.ts$';
const SERVICES =
  '(top-clients|outbox-relay|projector|page-server|operator|migrate|seed|smoke|issuer|view-audit|republish)';

/** The arrows of ARCHITECTURE.md: main → adapters → app → domain; contracts for all; platform for all but the pure. */
export const RULES: IRegularForbiddenRuleType[] = [
  rule('no-circular', 'A circle has no first thing to read.', {}, { circular: true }),
  rule(
    'contracts-are-pure',
    'Contracts are shared by everyone, so they import nobody at all.',
    { path: '^services/contracts/', pathNot: `${SPECS}|/testing/` },
    { path: '^(?!services/contracts/|node_modules/(zod|zod-openapi)/)' },
  ),
  rule(
    'contracts-are-judged-alone',
    'A contract that needs a room to be judged belongs to that room; what compares both stands there or in tests/contract.',
    { path: '^services/contracts/.*(\\.spec\\.ts$|/testing/)' },
    { path: '^(services/(?!contracts/)|cdk8s/|dashboards/|tests/|node_modules/(?!zod/|fast-check/|@jest/))' },
  ),
  rule(
    'domain-is-pure',
    'Decisions know neither transport nor storage.',
    { path: '^services/[^/]+/domain/', pathNot: SPECS },
    { path: '^services/(?!contracts/|[^/]+/domain/)' },
  ),
  rule(
    'domain-does-no-io',
    'Decisions get time and ids passed in.',
    { path: '^services/(contracts|[^/]+/domain)/', pathNot: SPECS },
    { dependencyTypes: ['core'] },
  ),
  rule(
    'domain-needs-no-package',
    'A package with I/O would bring time, network or storage into decisions.',
    { path: '^services/[^/]+/domain/', pathNot: SPECS },
    { path: '^node_modules/(?!zod/)' },
  ),
  rule(
    'http-knows-no-store',
    'Transport and storage meet in main, by the ports of the use cases.',
    { path: '^services/[^/]+/adapters/http/', pathNot: SPECS },
    { path: '^services/[^/]+/adapters/postgres/' },
  ),
  rule(
    'role-knows-no-service',
    'Every program of the image begins by it, so it knows none of them.',
    { path: '^services/role/', pathNot: SPECS },
    { path: '^services/(?!role/|contracts/|platform/)' },
  ),
  rule(
    'pages-know-no-service',
    'A page is served, projected and migrated by others; it knows none of them.',
    { path: '^services/pages/', pathNot: SPECS },
    { path: '^services/(?!pages/|contracts/|platform/|role/)' },
  ),
  rule(
    'page-kit-knows-no-page',
    'Pages of others install it: it knows how lists are read, and no page, server or store of ours.',
    { path: '^services/page-kit/', pathNot: SPECS },
    {
      path: '^services/(?!page-kit/|source-client/|contracts/|platform/|role/|auth/caller-credential\\.ts$|pages/(page|list-cache)\\.ts$)',
    },
  ),
  rule(
    'portal-knows-no-page-server',
    'The portal is an application of its own: it meets the source by its client, and pages by their parts.',
    { path: '^services/seller-portal/', pathNot: SPECS },
    { path: '^services/(?!seller-portal/|pages/|auth/|source-client/|contracts/|platform/|role/)' },
  ),
  rule(
    'app-knows-no-adapter',
    'Use cases name the ports they need; main wires them.',
    { path: '^services/[^/]+/app/', pathNot: SPECS },
    { path: '^services/[^/]+/(adapters/|main\\.ts)' },
  ),
  rule(
    'platform-has-no-domain-words',
    'Platform serves every room: of the contracts it knows how a refusal looks, how spans are called and how a text stands among bytes, and no more.',
    { path: '^services/platform/', pathNot: SPECS },
    { path: '^services/(?!platform/|contracts/(problems|text-in-bytes|traces)\\.ts$)' },
  ),
  rule(
    'services-do-not-reach-into-each-other',
    "Services meet in contracts, on the wire, in the pages they share and in the source's store.",
    { path: `^services/${SERVICES}/`, pathNot: SPECS },
    { path: `^services/${SERVICES}/`, pathNot: '^services/($1|top-clients/adapters/postgres)/' },
  ),
  rule(
    'objects-are-the-operators',
    'Who builds Kubernetes objects loads cdk8s; no other role shall pay for that.',
    { path: '^services/(?!operator/)', pathNot: `${SPECS}|${WORKBENCH}` },
    { path: '^(cdk8s/|node_modules/(cdk8s|constructs|@kubernetes)/)' },
  ),
  rule(
    'objects-know-only-contracts',
    'Objects are built from what they are told, with the names that all agree by.',
    { path: '^cdk8s/', pathNot: `${SPECS}|${WORKBENCH}` },
    { path: '^services/(?!contracts/)' },
  ),
  rule(
    'dashboards-know-only-contracts',
    'What is asked of the metrics is asked of the catalogue, whoever exports them.',
    { path: '^dashboards/', pathNot: SPECS },
    { path: '^(services/(?!contracts/)|cdk8s/|tests/|bench/)' },
  ),
  rule(
    'runtime-knows-no-reconciler',
    'How the operator works with the API server does not depend on what it makes there.',
    { path: '^services/operator/runtime/', pathNot: SPECS },
    {
      path: '^(services/(?!operator/runtime/|platform/)|cdk8s/(?!(kube-object|own-names|constructs/fingerprint)\\.ts$))',
    },
  ),
  rule(
    'only-its-room-knows-the-kafka-client',
    'The client is replaced in part, and a second way past that would not notice: others take it from the room.',
    {
      pathNot: `^services/platform/kafka/|${BARE_KAFKAJS}`,
    },
    { path: '^node_modules/(kafkajs|hysnappy|lz4-napi)/' },
  ),
  rule(
    'one-judge-of-tokens',
    'Who lets people in by keys of his own lets other people in: all ask the identity room, and only the issuer signs.',
    { ...PRODUCTION, pathNot: `${PRODUCTION.pathNot}|^services/(auth|issuer)/` },
    { path: '^node_modules/jose/' },
  ),
  rule(
    'auth-knows-no-service',
    'The same judge serves every role, so it knows none of them.',
    { path: '^services/auth/', pathNot: SPECS },
    { path: '^services/(?!auth/|contracts/|platform/|role/)' },
  ),
  rule(
    'source-client-knows-no-service',
    'Whoever calls the source of truth brings what he needs: the client knows the contract, and no page.',
    { path: '^services/source-client/', pathNot: SPECS },
    { path: '^services/(?!source-client/|contracts/|platform/|role/)' },
  ),
  rule(
    'one-client-of-the-source',
    'A second client would drift from the first. Beside it only the operator has one, of the API server; who asks others now and then takes fetch.',
    {
      ...PRODUCTION,
      pathNot: `${PRODUCTION.pathNot}|^services/(source-client/|operator/|platform/client-pool\\.ts$)`,
    },
    { path: '^(node_modules/undici/|services/platform/client-pool\\.ts$)' },
  ),
  rule('production-stands-alone', 'What runs in the image does not lean on the workbench.', PRODUCTION, {
    path: WORKBENCH,
  }),
  rule(
    'tests-are-nobodys-support',
    'What specs, measurements and the demo share stands in the local stack, or in the testing folder of its room.',
    { path: '^(services|bench)/' },
    { path: '^tests/' },
  ),
  rule('production-needs-no-development-package', 'Development packages are not in the image.', PRODUCTION, {
    dependencyTypes: ['npm-dev'],
  }),
  rule('resolvable', 'An import that leads nowhere.', {}, { couldNotResolve: true }),
];
