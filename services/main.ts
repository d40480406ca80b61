import type { Role } from '#role/role.ts';

/** One image, one program a role: `node services/main.ts <role> [flags]`. A role is loaded only when it is run. */
const ROLES: Readonly<Record<string, () => Promise<{ role: Role }>>> = {
  'top-clients': () => import('./top-clients/main.ts'),
  'outbox-relay': () => import('./outbox-relay/main.ts'),
  projector: () => import('./projector/main.ts'),
  redrive: () => import('./projector/redrive.ts'),
  'page-server': () => import('./page-server/main.ts'),
  migrate: () => import('./migrate/main.ts'),
  'compare-views': () => import('./view-audit/main.ts'),
  'watch-view': () => import('./view-audit/watch-main.ts'),
  republish: () => import('./republish/main.ts'),
  'after-restore': () => import('./top-clients/after-restore.ts'),
  'drop-view': () => import('./migrate/drop-view.ts'),
  'drop-page': () => import('./migrate/drop-page.ts'),
  issuer: () => import('./issuer/main.ts'),
  seed: () => import('./seed/main.ts'),
  smoke: () => import('./smoke/main.ts'),
  operator: () => import('./operator/main.ts'),
  'rebuild-state': () => import('./top-clients/rebuild-state.ts'),
};

const [name = '', ...argv] = process.argv.slice(2);
const load = Object.hasOwn(ROLES, name) ? ROLES[name] : undefined;
if (load) {
  // Process 1 of a container is not ended by a signal that it does not listen to, and loading takes a moment.
  const leave = () => process.exit(143);
  process.on('SIGTERM', leave);
  const { role } = await load();
  const { launch } = await import('#role/role.ts');
  process.off('SIGTERM', leave);
  await launch(role, argv, process.env);
} else if (name === '--help') {
  process.stdout.write(
    `<role> [flags], where the roles are\n  ${Object.keys(ROLES).join('\n  ')}\n<role> --help tells its flags\n`,
  );
} else {
  process.stderr.write(
    `${name || 'nothing'} is not a role; the roles are ${Object.keys(ROLES).join(', ')}\n`,
  );
  process.exitCode = 2;
}
