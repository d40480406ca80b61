import { silentLog } from '#platform/log.ts';
import { LastApplied } from '../../runtime/apply.ts';
import { type ReconcileSettings, reconciler } from '../reconcile.ts';

/** The operator in the namespace `shop`, where nothing lags and nobody listens unless `more` says otherwise. */
export const reconcilerIn = (more: Pick<ReconcileSettings, 'kube' | 'now'> & Partial<ReconcileSettings>) =>
  reconciler({
    namespace: 'shop',
    image: 'top-clients:1',
    readLag: async () => 0,
    readLayout: async () => ({ partitions: 12, movedFrom: null, sellersDone: 0, sellers: 0 }),
    events: { event: () => {} },
    log: silentLog,
    applied: new LastApplied(),
    onShown: () => {},
    definitions: () => ({ state: 'current' }),
    operators: () => ({ leads: 'shop/top-clients-operator', wait: [] }),
    whyNotReady: async () => null,
    ...more,
  });
