/** Holds the imports of the tree against the rules, and first proves that the rules bite. `npm run boundaries` */
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cruise, type ICruiseResult } from 'dependency-cruiser';
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config';
import { RULES } from './boundary-rules.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

async function violations(baseDir: string, folders: string[]): Promise<{ modules: number; found: string[] }> {
  const { output } = await cruise(
    folders,
    {
      baseDir,
      validate: true,
      ruleSet: { forbidden: RULES },
      tsPreCompilationDeps: true,
      doNotFollow: { path: 'node_modules' },
      // Packages stay in: a rule may forbid one. The planted tree reaches them by a link, and shall see the same paths.
      preserveSymlinks: true,
      exclude: { path: '^(\\.cache|\\.demo)/' },
      tsConfig: { fileName: join(root, 'tsconfig.json') },
      enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'types'] },
    },
    undefined,
    { tsConfig: extractTSConfig(join(root, 'tsconfig.json')) },
  );
  const { summary, modules } = output as ICruiseResult;
  return {
    modules: modules.filter((one) => !one.coreModule && !one.source.includes('node_modules')).length,
    found: summary.violations.map((one) => `${one.rule.name}: ${one.from} → ${one.to}`),
  };
}

/** Each breaks one rule; a rule that stays silent here would stay silent over the real tree. */
const PLANTED: Record<string, [file: string, source: string][]> = {
  'no-circular': [
    ['services/projector/a.ts', "export { b } from './b.ts';"],
    ['services/projector/b.ts', "export * from './a.ts';\nexport const b = 1;"],
  ],
  'contracts-are-pure': [['services/contracts/x.ts', "export * from '../platform/y.ts';"]],
  'domain-is-pure': [['services/top-clients/domain/x.ts', "export * from '../../platform/y.ts';"]],
  'domain-does-no-io': [['services/top-clients/domain/z.ts', "export * from 'node:fs';"]],
  'app-knows-no-adapter': [['services/top-clients/app/x.ts', "export * from '../adapters/http.ts';"]],
  'platform-has-no-domain-words': [['services/platform/x.ts', "export * from '../projector/y.ts';"]],
  'services-do-not-reach-into-each-other': [
    ['services/projector/x.ts', "export * from '../outbox-relay/y.ts';"],
  ],
  'objects-are-the-operators': [['services/projector/k.ts', "export * from '../../cdk8s/y.ts';"]],
  'objects-know-only-contracts': [['cdk8s/x.ts', "export * from '../services/platform/y.ts';"]],
  'dashboards-know-only-contracts': [['dashboards/x.ts', "export * from '../services/platform/y.ts';"]],
  'runtime-knows-no-reconciler': [['services/operator/runtime/x.ts', "export * from '../y.ts';"]],
  'only-its-room-knows-the-kafka-client': [
    ['services/projector/q.ts', "import type { Kafka } from 'kafkajs';\nexport type K = Kafka;"],
  ],
  'one-judge-of-tokens': [
    ['services/page-server/j.ts', "import type { JWTPayload } from 'jose';\nexport type J = JWTPayload;"],
  ],
  'auth-knows-no-service': [['services/auth/x.ts', "export * from '../projector/y.ts';"]],
  'source-client-knows-no-service': [['services/source-client/x.ts', "export * from '../projector/y.ts';"]],
  'one-client-of-the-source': [
    ['services/seller-portal/u.ts', "import { Agent } from 'undici';\nexport const a = new Agent();"],
  ],
  'production-stands-alone': [['services/projector/w.ts', "export * from '../local-stack/y.ts';"]],
  'tests-are-nobodys-support': [
    ['bench/t.ts', "export * from '../tests/support/y.ts';"],
    ['services/projector/t.spec.ts', "export * from '../../tests/support/y.ts';"],
  ],
  'production-needs-no-development-package': [
    ['services/projector/d.ts', "import fc from 'fast-check';\nexport default fc;"],
  ],
  resolvable: [['services/projector/r.ts', "export * from './nowhere.ts';"]],
};
const STANDING = [
  'cdk8s/y',
  'services/platform/y',
  'services/projector/y',
  'services/operator/y',
  'services/outbox-relay/y',
  'services/local-stack/y',
  'services/top-clients/adapters/http',
  'tests/support/y',
];

async function prove(): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'boundaries-'));
  try {
    const put = (file: string, source: string) => {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), `${source}\n`);
    };
    cpSync(join(root, 'package.json'), join(folder, 'package.json'));
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    for (const name of STANDING) put(`${name}.ts`, 'export const y = 1;');
    for (const [file, source] of Object.values(PLANTED).flat()) put(file, source);
    const { found } = await violations(folder, ['services', 'cdk8s', 'dashboards', 'bench']);
    return RULES.map((one) => one.name!).filter((name) => !found.some((one) => one.startsWith(`${name}:`)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const silent = await prove();
const { modules, found } = await violations(root, [
  'services',
  'cdk8s',
  'dashboards',
  'generate',
  'tests',
  'bench',
]);
for (const name of silent) console.error(`the rule ${name} did not notice a planted violation`);
for (const one of found) console.error(one);
// Without a TypeScript it understands, dependency-cruiser sees no module at all and finds everything in order.
if (modules < 20)
  console.error(`only ${modules} modules were seen; is the typescript package still version 6?`);
if (silent.length > 0 || found.length > 0 || modules < 20) process.exit(1);
console.log(`boundaries hold: ${modules} modules, ${RULES.length} rules, each proved by a planted violation`);
