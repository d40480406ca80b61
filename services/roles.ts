import type { Role } from '#role/role.ts';

/** One image, one program a role: `node services/main.ts <role> [flags]`. A role is loaded only when it is run. */
export const ROLES: Readonly<Record<string, () => Promise<{ role: Role }>>> = {
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
